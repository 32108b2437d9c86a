//! Runs a program: an expression gets a value and hands each of its results on.
//!
//! Results are handed to a function that runs what comes next, so the stack is jq's stack of choices: an error further on
//! comes back through every `try` that is still open, which is what jq 1.6 does (later versions do not). Where a path is
//! wanted, a value carries the path that led to it, and jq's test whether it still is that value.
//!
//! `making` has expressions that make values of others, `loops` those that go round, `calls` those with a name.
//! Neighbours: `functions` and `library` for what has a name, `limits` for what a run may take.

mod calls;
mod loops;
mod making;

use super::ast::{Ast, Definition, Id};
use super::formats::format;
use super::functions;
use super::item::Item;
use super::limits::{Run, Stop};
use super::matching;
use super::paths;
use super::text;
use super::value::Value;
use loops::destructure;
use std::rc::Rc;
use std::sync::Arc;

/// How an evaluation ends.
pub type Flow = Result<(), Stop>;
/// Takes a result.
pub type Emit<'e> = &'e mut dyn FnMut(&mut Run, Item) -> Flow;

/// Bytes of a value in messages about paths.
const SHOWN_BYTES: usize = 30;
const SHOWN_KEY_BYTES: usize = 15;

/// What names stand for, innermost first.
pub type Scope<'q> = Option<Rc<Bound<'q>>>;

/// A name and what it stands for.
pub struct Bound<'q> {
    outer: Scope<'q>,
    id: Id,
    to: To<'q>,
}

/// What a name stands for.
pub enum To<'q> {
    Value(Value),
    Label(u64),
    Closure(&'q Ast, Scope<'q>),
    Function(&'q Definition),
}

fn bind<'q>(outer: &Scope<'q>, id: Id, to: To<'q>) -> Scope<'q> {
    Some(Rc::new(Bound { outer: outer.clone(), id, to }))
}

fn look_up<'s, 'q>(mut scope: &'s Scope<'q>, id: Id) -> Result<&'s Rc<Bound<'q>>, Stop> {
    while let Some(bound) = scope {
        if bound.id == id {
            return Ok(bound);
        }
        scope = &bound.outer;
    }
    Err(Stop::Limit("a name is not bound"))
}

/// A program that can be run.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'q> {
    pub library: &'q [Arc<Definition>],
}

impl<'q> Machine<'q> {
    /// Runs `ast` on `value`, handing each result to `emit`.
    pub fn start(self, run: &mut Run, ast: &'q Ast, value: Value, emit: &mut dyn FnMut(Value) -> Flow) -> Flow {
        self.eval(run, ast, &None, Item::plain(value), &mut |_, item| emit(item.value))
    }

    pub fn eval(self, run: &mut Run, ast: &'q Ast, scope: &Scope<'q>, item: Item, emit: Emit) -> Flow {
        run.enter()?;
        let flow = self.step(run, ast, scope, item, emit);
        run.leave();
        flow
    }

    /// Each value of an expression whose path does not matter.
    pub fn values(
        self,
        run: &mut Run,
        ast: &'q Ast,
        scope: &Scope<'q>,
        input: &Value,
        emit: &mut dyn FnMut(&mut Run, Value) -> Flow,
    ) -> Flow {
        if let Ast::Const(value) = ast {
            return emit(run, value.clone());
        }
        self.eval(run, ast, scope, Item::plain(input.clone()), &mut |run, item| emit(run, item.value))
    }

    fn step(self, run: &mut Run, ast: &'q Ast, scope: &Scope<'q>, item: Item, emit: Emit) -> Flow {
        match ast {
            Ast::Identity => emit(run, item),
            Ast::Const(value) => emit(run, item.with(value.clone())),
            Ast::Index { of, key, optional } => self.index(run, (of, key, *optional), scope, item, emit),
            Ast::Slice { of, from, upto, optional } => {
                self.slice(run, (of, from.as_deref(), upto.as_deref(), *optional), scope, item, emit)
            }
            Ast::Each { of, optional } => {
                self.eval(run, of, scope, item, &mut |run, item| each(run, &item, *optional, emit))
            }
            Ast::Interpolation { format, parts } => self.interpolate(run, *format, parts, scope, &item, "", emit),
            Ast::Format(kind) => {
                let made = format(run, *kind, &item.value)?;
                emit(run, item.with(made))
            }
            Ast::Array(inside) => self.collect(run, inside, scope, &item, emit),
            Ast::Object(fields) => self.object(run, fields, scope, &item, Value::empty_object(), emit),
            Ast::Negate(of) => self.eval(run, of, scope, item, &mut |run, item| match &item.value {
                Value::Number(number) => emit(run, item.with(Value::Number(-number))),
                other => Err(text::type_error(other, "cannot be negated")),
            }),
            Ast::Pipe(left, right) => {
                self.eval(run, left, scope, item, &mut |run, item| self.eval(run, right, scope, item, emit))
            }
            Ast::Comma(left, right) => {
                self.eval(run, left, scope, item.clone(), emit)?;
                self.eval(run, right, scope, item, emit)
            }
            Ast::And(left, right) => self.logic(run, left, right, false, scope, &item, emit),
            Ast::Or(left, right) => self.logic(run, left, right, true, scope, &item, emit),
            Ast::Alternative(left, right) => self.alternative(run, left, right, scope, item, emit),
            // Its parts would have paths of their own.
            Ast::Assign(..) | Ast::Modify(..) | Ast::Update(..) if item.track.is_some() => {
                Err(Stop::Limit("an update stands in a path"))
            }
            Ast::Assign(targets, value) => self.assign(run, targets, value, scope, &item, emit),
            Ast::Modify(targets, update) => {
                let value =
                    self.modify(run, targets, scope, &item.value, &mut |run, old| self.first(run, update, scope, old))?;
                emit(run, item.with(value))
            }
            Ast::Update(function, targets, value) => self.update(run, *function, targets, value, scope, &item, emit),
            Ast::If { condition, then, otherwise } => {
                self.values(run, condition, scope, &item.value, &mut |run, value| {
                    let branch = if value.truthy() { then } else { otherwise };
                    self.eval(run, branch, scope, item.clone(), emit)
                })
            }
            Ast::Try { body, catch } => self.attempt(run, body, catch.as_deref(), scope, item, emit),
            Ast::Reduce { source, pattern, init, update } => {
                self.reduce(run, (source, pattern, init, update), scope, item, emit)
            }
            Ast::Foreach { source, pattern, init, update, extract } => {
                self.foreach(run, (source, pattern, init, update, extract), scope, item, emit)
            }
            Ast::Bind { source, pattern, body } => self.values(run, source, scope, &item.value, &mut |run, value| {
                let scope = destructure(run, pattern, &value, scope, &item)?;
                self.eval(run, body, &scope, item.clone(), emit)
            }),
            Ast::Label(id, body) => {
                let label = run.label();
                let inside = bind(scope, *id, To::Label(label));
                match self.eval(run, body, &inside, item, emit) {
                    Err(Stop::Break(broken)) if broken == label => Ok(()),
                    flow => flow,
                }
            }
            Ast::Break(id) => match &look_up(scope, *id)?.to {
                To::Label(label) => Err(Stop::Break(*label)),
                _ => Err(Stop::Limit("a name is not bound")),
            },
            Ast::Variable(id) => match &look_up(scope, *id)?.to {
                To::Value(value) => emit(run, item.with(value.clone())),
                _ => Err(Stop::Limit("a name is not bound")),
            },
            Ast::Define(definition, body) => {
                let inside = bind(scope, definition.id, To::Function(definition));
                self.eval(run, body, &inside, item, emit)
            }
            Ast::Call(id, arguments) => self.call(run, *id, arguments, scope, item, emit),
            Ast::Library(at, arguments) => {
                let definition = &*self.library[*at];
                let outer = bind(&None, definition.id, To::Function(definition));
                self.enter(run, definition, &outer, arguments, scope, item, emit)
            }
            Ast::Apply(function, arguments) => {
                self.apply(run, *function, arguments, scope, &item, &mut Vec::new(), emit)
            }
            Ast::Matches { pattern, global, test } => {
                let found = matching::matches(run, &item.value, pattern, *global, *test)?;
                emit(run, item.with(found))
            }
            Ast::Substitute { pattern, replacement, global } => {
                let search = (&**pattern, *global);
                self.substitute(run, search, replacement, scope, &item, &item.value, emit)
            }
            Ast::Empty => Ok(()),
            Ast::Error(message) => match message {
                None => raise(item.value),
                Some(message) => self.values(run, message, scope, &item.value, &mut |_, value| raise(value)),
            },
            Ast::Recurse => recurse(run, item, emit),
            Ast::Path(of) => self.path(run, of, scope, &item, emit),
            Ast::GetPath(path) => self.values(run, path, scope, &item.value, &mut |run, path| {
                // jq leaves out the test whether the input is still at its path where the path leads nowhere.
                let value = paths::get_path(run, &item.value, &path)?;
                let Value::Array(keys) = &path else { return Ok(()) };
                if !item.is_path() {
                    return Err(lost_path(&item.value, keys.first().unwrap_or(&Value::Null)));
                }
                let at = keys.iter().fold(item.clone(), |item, key| item.inside(key, value.clone()));
                emit(run, Item { value, track: at.track })
            }),
            Ast::Range(from, upto) => self.range(run, from, upto, scope, &item, emit),
            Ast::Until(condition, next) => self.until(run, condition, next, scope, item, emit),
        }
    }

    #[inline(never)]
    fn index(
        self,
        run: &mut Run,
        (of, key, optional): (&'q Ast, &'q Ast, bool),
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        let input = item.value.clone();
        self.values(run, key, scope, &input, &mut |run, key| {
            if matches!(of, Ast::Identity) {
                return element(run, &item, &key, optional, emit);
            }
            self.eval(run, of, scope, item.clone(), &mut |run, item| element(run, &item, &key, optional, emit))
        })
    }

    #[inline(never)]
    fn slice(
        self,
        run: &mut Run,
        (of, from, upto, optional): (&'q Ast, Option<&'q Ast>, Option<&'q Ast>, bool),
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        const NULL: &Ast = &Ast::Const(Value::Null);
        let (from, upto) = (from.unwrap_or(NULL), upto.unwrap_or(NULL));
        self.values(run, from, scope, &item.value, &mut |run, from| {
            self.values(run, upto, scope, &item.value, &mut |run, upto| {
                let key = paths::slice_key(run, from.clone(), upto)?;
                self.eval(run, of, scope, item.clone(), &mut |run, item| element(run, &item, &key, optional, emit))
            })
        })
    }
}

/// What `error` does: an error of null is none, as if nothing had come.
fn raise(message: Value) -> Flow {
    if matches!(message, Value::Null) { Ok(()) } else { Err(Stop::Error(message)) }
}

fn lost_path(value: &Value, key: &Value) -> Stop {
    let (key, value) = (text::shown_in(key, SHOWN_KEY_BYTES), text::shown_in(value, SHOWN_BYTES));
    Stop::error(format!("Invalid path expression near attempt to access element {key} of {value}"))
}

fn element(run: &mut Run, item: &Item, key: &Value, optional: bool, emit: Emit) -> Flow {
    if !item.is_path() {
        return Err(lost_path(&item.value, key));
    }
    match paths::get(run, &item.value, key) {
        Ok(value) => emit(run, item.inside(key, value)),
        Err(Stop::Error(_)) if optional => Ok(()),
        Err(stop) => Err(stop),
    }
}

fn each(run: &mut Run, item: &Item, optional: bool, emit: Emit) -> Flow {
    if !item.is_path() {
        let shown = text::shown_in(&item.value, SHOWN_BYTES);
        return Err(Stop::error(format!("Invalid path expression near attempt to iterate through {shown}")));
    }
    match &item.value {
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                run.take_steps(1)?;
                emit(run, item.inside(&Value::Number(at as f64), value.clone()))?;
            }
            Ok(())
        }
        Value::Object(map) => {
            for (key, value) in map.iter() {
                run.take_steps(1)?;
                emit(run, item.inside(&Value::String(key.clone()), value.clone()))?;
            }
            Ok(())
        }
        _ if optional => Ok(()),
        other => Err(functions::not_iterable(other)),
    }
}

fn recurse(run: &mut Run, item: Item, emit: Emit) -> Flow {
    run.enter()?;
    let flow = emit(run, item.clone()).and_then(|()| {
        if matches!(item.value, Value::Array(_) | Value::Object(_)) {
            each(run, &item, true, &mut |run, item| recurse(run, item, emit))
        } else {
            Ok(())
        }
    });
    run.leave();
    flow
}
