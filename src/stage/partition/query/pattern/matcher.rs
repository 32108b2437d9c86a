//! Runs a compiled pattern over a text: a backtracking machine, whose choices and steps are counted.

use super::super::limits::{Run, Stop};
use super::{Assertion, Code, Groups, Pattern, Set};
use std::sync::OnceLock;

/// Most places that are kept to go back to.
const MAX_STACK: usize = 200_000;

impl Pattern {
    /// The first match at or after byte `from`: the bounds of the whole and of each group.
    pub fn search(&self, run: &mut Run, text: &str, from: usize) -> Result<Option<Groups>, Stop> {
        if self.any_case && text.chars().any(folds_to_ascii) {
            return Err(Stop::Limit("a letter such as ß is matched without regard to case"));
        }
        let starts = text[from..].char_indices().map(|(at, _)| from + at).chain([text.len()]);
        for start in starts {
            let mut saved = vec![None; (self.names.len() + 1) * 2];
            if let Some(end) = self.run(run, text, start, 0, &mut saved)? {
                let mut groups = vec![Some((start, end))];
                for bounds in saved[2..].chunks(2) {
                    groups.push(bounds[0].zip(bounds[1]));
                }
                return Ok(Some(groups));
            }
        }
        Ok(None)
    }

    fn run(
        &self,
        run: &mut Run,
        text: &str,
        start: usize,
        begins: usize,
        saved: &mut Vec<Option<usize>>,
    ) -> Result<Option<usize>, Stop> {
        enum Back {
            Goto(usize, usize),
            Restore(usize, Option<usize>),
        }
        let mut stack: Vec<Back> = Vec::new();
        let (mut at, mut pc) = (start, begins);
        loop {
            run.take_steps(1)?;
            let next = || text[at..].chars().next();
            let taken = match &self.code[pc] {
                Code::Match => return Ok(Some(at)),
                Code::Jump(target) => {
                    pc = *target;
                    continue;
                }
                Code::Split(first, second) => {
                    if stack.len() >= MAX_STACK {
                        return Err(Stop::Limit("a match takes too much memory"));
                    }
                    stack.push(Back::Goto(*second, at));
                    pc = *first;
                    continue;
                }
                Code::Save(slot) => {
                    stack.push(Back::Restore(*slot, saved[*slot]));
                    saved[*slot] = Some(at);
                    pc += 1;
                    continue;
                }
                Code::Ahead { negated, upto } => {
                    let mut inside = saved.clone();
                    run.take_steps(inside.len() as u64)?;
                    let found = self.run(run, text, at, pc + 1, &mut inside)?.is_some();
                    if found && !negated {
                        for (slot, value) in inside.iter().enumerate() {
                            if saved[slot] != *value {
                                stack.push(Back::Restore(slot, saved[slot]));
                            }
                        }
                        *saved = inside;
                    }
                    if found != *negated {
                        pc = *upto;
                        continue;
                    }
                    None
                }
                Code::Assert(assertion) => {
                    if self.holds(*assertion, text, at) {
                        pc += 1;
                        continue;
                    }
                    None
                }
                Code::Char(c) => next().filter(|found| self.same(*c, *found)),
                Code::Any => next().filter(|found| *found != '\n'),
                Code::Class { negated, sets } => next().filter(|found| self.is_in(sets, *found) != *negated),
            };
            if let Some(c) = taken {
                at += c.len_utf8();
                pc += 1;
                continue;
            }
            loop {
                match stack.pop() {
                    None => return Ok(None),
                    Some(Back::Restore(slot, value)) => saved[slot] = value,
                    Some(Back::Goto(target, place)) => {
                        (pc, at) = (target, place);
                        break;
                    }
                }
            }
        }
    }

    fn same(&self, a: char, b: char) -> bool {
        a == b || (self.any_case && a.eq_ignore_ascii_case(&b))
    }

    fn is_in(&self, sets: &[Set], c: char) -> bool {
        let is_in = |c: char| {
            sets.iter().any(|set| match set {
                Set::Range(first, last) => (*first..=*last).contains(&c),
                Set::Digit(yes) => is_digit(c) == *yes,
                Set::Word(yes) => is_word(c) == *yes,
                Set::Space(yes) => is_space(c) == *yes,
            })
        };
        is_in(c) || (self.any_case && (is_in(c.to_ascii_lowercase()) || is_in(c.to_ascii_uppercase())))
    }

    fn holds(&self, assertion: Assertion, text: &str, at: usize) -> bool {
        match assertion {
            Assertion::Start => at == 0,
            Assertion::End => at == text.len(),
            Assertion::LastLine => at == text.len() || &text[at..] == "\n",
            Assertion::Boundary => {
                let before = text[..at].chars().next_back().is_some_and(is_word);
                let after = text[at..].chars().next().is_some_and(is_word);
                before != after
            }
        }
    }
}

/// Whether Oniguruma finds the character equal to ASCII letters if case does not matter.
fn folds_to_ascii(c: char) -> bool {
    matches!(c, 'ß' | 'ẞ' | 'ſ' | 'İ' | '\u{212a}' | '\u{fb00}'..='\u{fb06}')
}

fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// The ranges of a class of Unicode.
fn ranges(class: &str) -> Vec<(char, char)> {
    let parsed = regex_syntax::Parser::new().parse(class);
    match parsed.map(regex_syntax::hir::Hir::into_kind) {
        Ok(regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class))) => {
            class.iter().map(|range| (range.start(), range.end())).collect()
        }
        _ => Vec::new(),
    }
}

fn is_among(ranges: &[(char, char)], c: char) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after > 0 && ranges[after - 1].1 >= c
}

fn is_digit(c: char) -> bool {
    static DIGITS: OnceLock<Vec<(char, char)>> = OnceLock::new();
    c.is_ascii_digit() || (!c.is_ascii() && is_among(DIGITS.get_or_init(|| ranges(r"\d")), c))
}

fn is_word(c: char) -> bool {
    static WORDS: OnceLock<Vec<(char, char)>> = OnceLock::new();
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    is_among(WORDS.get_or_init(|| ranges(r"\w")), c)
}
