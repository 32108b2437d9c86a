//! Runs a program: an expression gets a value and hands each of its results on.
//!
//! Results are handed to a function that runs what comes next, so the stack is jq's stack of choices: an error further on
//! comes back through every `try` that is still open, which is what jq 1.6 does (later versions do not). Where a path is
//! wanted, a value carries the path that led to it, and jq's test whether it still is that value.
//!
//! Neighbours: `functions` and `library` for what has a name, `limits` for what a run may take.

use super::ast::{Ast, Definition, Format, Id, Pattern};
use super::formats::format;
use super::functions::{self, Function};
use super::item::Item;
use super::limits::{Run, Stop};
use super::matching;
use super::paths;
use super::text;
use super::value::Value;
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

    /// A string from its parts, of which the last varies slowest.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "one recursion")]
    fn interpolate(
        self,
        run: &mut Run,
        kind: Format,
        parts: &'q [Ast],
        scope: &Scope<'q>,
        item: &Item,
        after: &str,
        emit: Emit,
    ) -> Flow {
        let Some((last, before)) = parts.split_last() else {
            return emit(run, item.with(Value::text(after)));
        };
        match last {
            Ast::Array(inside) => self.values(run, inside, scope, &item.value, &mut |run, value| {
                let Value::String(text) = format(run, kind, &value)? else { return Ok(()) };
                run.take_bytes(text.len() + after.len())?;
                self.interpolate(run, kind, before, scope, item, &format!("{text}{after}"), emit)
            }),
            Ast::Const(Value::String(text)) => {
                self.interpolate(run, kind, before, scope, item, &format!("{text}{after}"), emit)
            }
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn collect(self, run: &mut Run, inside: &'q Ast, scope: &Scope<'q>, item: &Item, emit: Emit) -> Flow {
        let mut items = Vec::new();
        self.values(run, inside, scope, &item.value, &mut |run, value| {
            run.take_bytes(32)?;
            items.push(value);
            Ok(())
        })?;
        let array = Value::array(run, items)?;
        emit(run, item.with(array))
    }

    /// An object from its fields, of which the first varies slowest.
    #[inline(never)]
    fn object(
        self,
        run: &mut Run,
        fields: &'q [(Ast, Ast)],
        scope: &Scope<'q>,
        item: &Item,
        made: Value,
        emit: Emit,
    ) -> Flow {
        let Some(((key, value), rest)) = fields.split_first() else {
            return emit(run, item.with(made));
        };
        self.values(run, key, scope, &item.value, &mut |run, key| {
            self.values(run, value, scope, &item.value, &mut |run, value| {
                let Value::String(key) = &key else {
                    return Err(Stop::error(format!("Cannot use {} as object key", text::shown(&key))));
                };
                let made = made.clone().with_field(run, key.clone(), value)?;
                self.object(run, rest, scope, item, made, emit)
            })
        })
    }

    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "two operators in one")]
    fn logic(
        self,
        run: &mut Run,
        left: &'q Ast,
        right: &'q Ast,
        decides: bool,
        scope: &Scope<'q>,
        item: &Item,
        emit: Emit,
    ) -> Flow {
        self.values(run, left, scope, &item.value, &mut |run, value| {
            if value.truthy() == decides {
                return emit(run, item.with(Value::Bool(decides)));
            }
            self.values(run, right, scope, &item.value, &mut |run, value| {
                emit(run, item.with(Value::Bool(value.truthy())))
            })
        })
    }

    #[inline(never)]
    fn alternative(
        self,
        run: &mut Run,
        left: &'q Ast,
        right: &'q Ast,
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        let mut found = false;
        self.eval(run, left, scope, item.clone(), &mut |run, item| {
            if !item.value.truthy() {
                return Ok(());
            }
            found = true;
            emit(run, item)
        })?;
        if found { Ok(()) } else { self.eval(run, right, scope, item, emit) }
    }

    #[inline(never)]
    fn attempt(
        self,
        run: &mut Run,
        body: &'q Ast,
        catch: Option<&'q Ast>,
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        match (self.eval(run, body, scope, item.clone(), emit), catch) {
            (Err(Stop::Error(_) | Stop::Break(_)), None) => Ok(()),
            (Err(Stop::Error(message)), Some(catch)) => self.eval(run, catch, scope, item.with(message), emit),
            (flow, _) => flow,
        }
    }

    #[inline(never)]
    fn reduce(
        self,
        run: &mut Run,
        (source, pattern, init, update): (&'q Ast, &'q Pattern, &'q Ast, &'q Ast),
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        self.eval(run, init, scope, item.clone(), &mut |run, start| {
            let mut state = start.value.clone();
            let from = Item { value: item.value.clone(), track: start.track.clone() };
            self.eval(run, source, scope, from, &mut |run, each| {
                let scope = destructure(run, pattern, &each.value, scope, &item)?;
                let old = std::mem::replace(&mut state, Value::Null);
                let old = Item { value: old, track: each.track };
                self.eval(run, update, &scope, old, &mut |_, new| {
                    state = new.value;
                    Ok(())
                })
            })?;
            let result = std::mem::replace(&mut state, Value::Null);
            emit(run, start.with(result))
        })
    }

    #[inline(never)]
    fn foreach(
        self,
        run: &mut Run,
        (source, pattern, init, update, extract): (&'q Ast, &'q Pattern, &'q Ast, &'q Ast, &'q Ast),
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        self.eval(run, init, scope, item.clone(), &mut |run, start| {
            let mut state = start.value.clone();
            let from = Item { value: item.value.clone(), track: start.track };
            self.eval(run, source, scope, from, &mut |run, each| {
                let scope = destructure(run, pattern, &each.value, scope, &item)?;
                let old = std::mem::replace(&mut state, Value::Null);
                let old = Item { value: old, track: each.track };
                self.eval(run, update, &scope, old, &mut |run, new| {
                    state = new.value.clone();
                    self.eval(run, extract, &scope, new, emit)
                })
            })
        })
    }

    #[inline(never)]
    fn call(self, run: &mut Run, id: Id, arguments: &'q [Ast], scope: &Scope<'q>, item: Item, emit: Emit) -> Flow {
        let bound = look_up(scope, id)?;
        match &bound.to {
            To::Closure(ast, outer) => {
                let (ast, outer) = (*ast, outer.clone());
                self.eval(run, ast, &outer, item, emit)
            }
            To::Function(definition) => {
                let (definition, outer) = (*definition, Some(bound.clone()));
                self.enter(run, definition, &outer, arguments, scope, item, emit)
            }
            _ => Err(Stop::Limit("a name is not bound")),
        }
    }

    /// Runs a definition whose own names are in `outer`, with arguments from `scope`.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "two scopes")]
    fn enter(
        self,
        run: &mut Run,
        definition: &'q Definition,
        outer: &Scope<'q>,
        arguments: &'q [Ast],
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        let mut inside = outer.clone();
        for ((parameter, _), argument) in definition.parameters.iter().zip(arguments) {
            // A parameter handed on stands for what it was given, so that recursion does not make chains.
            let to = match argument {
                Ast::Call(id, none) if none.is_empty() => match &look_up(scope, *id)?.to {
                    To::Closure(ast, scope) => To::Closure(ast, scope.clone()),
                    _ => To::Closure(argument, scope.clone()),
                },
                _ => To::Closure(argument, scope.clone()),
            };
            inside = bind(&inside, *parameter, to);
        }
        self.variables(run, definition, 0, arguments, scope, &inside, item, emit)
    }

    /// Binds the values of parameters such as `$x`, the first varying slowest, and runs the body.
    #[allow(clippy::too_many_arguments, reason = "two scopes")]
    fn variables(
        self,
        run: &mut Run,
        definition: &'q Definition,
        from: usize,
        arguments: &'q [Ast],
        scope: &Scope<'q>,
        inside: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
        let next = (from..arguments.len()).find_map(|at| Some((at, definition.parameters[at].1?)));
        let Some((at, variable)) = next else {
            return self.eval(run, &definition.body, inside, item, emit);
        };
        self.values(run, &arguments[at], scope, &item.value, &mut |run, value| {
            let inside = bind(inside, variable, To::Value(value));
            self.variables(run, definition, at + 1, arguments, scope, &inside, item.clone(), emit)
        })
    }

    /// Computes arguments, the last varying slowest, then the function.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "one recursion")]
    fn apply(
        self,
        run: &mut Run,
        function: Function,
        arguments: &'q [Ast],
        scope: &Scope<'q>,
        item: &Item,
        made: &mut Vec<Value>,
        emit: Emit,
    ) -> Flow {
        let Some((last, before)) = arguments.split_last() else {
            let reversed: Vec<Value> = made.iter().rev().cloned().collect();
            let value = (function.call)(run, &item.value, &reversed)?;
            drop(reversed);
            return emit(run, item.with(value));
        };
        self.values(run, last, scope, &item.value, &mut |run, value| {
            made.push(value);
            let flow = self.apply(run, function, before, scope, item, made, emit);
            made.pop();
            flow
        })
    }

    /// `sub` and `gsub`: each match is looked for in what is left of the text.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "one recursion")]
    fn substitute(
        self,
        run: &mut Run,
        search: (&'q super::pattern::Pattern, bool),
        replacement: &'q Ast,
        scope: &Scope<'q>,
        item: &Item,
        input: &Value,
        emit: Emit,
    ) -> Flow {
        let found = matching::matches(run, input, search.0, false, false)?;
        let (Value::Array(found), Value::String(text)) = (&found, input) else { return Ok(()) };
        let Some(found) = found.first() else {
            return emit(run, item.with(input.clone()));
        };
        let (first, upto) = matching::bounds(run, found)?;
        let captured = matching::captured(run, found)?;
        let before = matching::part(run, text, 0, first)?;
        let rest = matching::part(run, text, upto, text.chars().count())?;
        let plus = functions::operator("+").ok_or(Stop::Limit("no addition"))?;
        let mut joined = |run: &mut Run, rest: Value| {
            self.values(run, replacement, scope, &captured, &mut |run, new| {
                let start = (plus.call)(run, &Value::Null, &[before.clone(), new])?;
                let whole = (plus.call)(run, &Value::Null, &[start, rest.clone()])?;
                emit(run, item.with(whole))
            })
        };
        let more = search.1 && matches!(&rest, Value::String(rest) if !rest.is_empty());
        if !more {
            return joined(run, rest);
        }
        run.enter()?;
        let flow =
            self.substitute(run, search, replacement, scope, item, &rest, &mut |run, rest| joined(run, rest.value));
        run.leave();
        flow
    }

    #[inline(never)]
    fn range(self, run: &mut Run, from: &'q Ast, upto: &'q Ast, scope: &Scope<'q>, item: &Item, emit: Emit) -> Flow {
        self.values(run, from, scope, &item.value, &mut |run, from| {
            self.values(run, upto, scope, &item.value, &mut |run, upto| {
                let (Value::Number(from), Value::Number(upto)) = (&from, &upto) else {
                    return Err(Stop::error("Range bounds must be numeric"));
                };
                let mut at = *from;
                while at < *upto || (at.is_nan() != upto.is_nan()) {
                    run.take_steps(1)?;
                    emit(run, item.with(Value::Number(at)))?;
                    at += 1.0;
                }
                Ok(())
            })
        })
    }

    /// `until`, as a loop as long as both expressions give one value.
    #[inline(never)]
    fn until(
        self,
        run: &mut Run,
        condition: &'q Ast,
        next: &'q Ast,
        scope: &Scope<'q>,
        mut item: Item,
        emit: Emit,
    ) -> Flow {
        loop {
            let holds = self.single(run, condition, scope, &item)?.value.truthy();
            if holds {
                return emit(run, item);
            }
            item = self.single(run, next, scope, &item)?;
        }
    }

    /// The only result.
    fn single(self, run: &mut Run, ast: &'q Ast, scope: &Scope<'q>, item: &Item) -> Result<Item, Stop> {
        let mut only = None;
        self.eval(run, ast, scope, item.clone(), &mut |_, item| match only.replace(item) {
            None => Ok(()),
            Some(_) => Err(Stop::Limit("an expression of until gives several values")),
        })?;
        only.ok_or(Stop::Limit("an expression of until gives no value"))
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

/// Binds the variables of `pattern` to parts of `value`.
fn destructure<'q>(
    run: &mut Run,
    pattern: &'q Pattern,
    value: &Value,
    scope: &Scope<'q>,
    item: &Item,
) -> Result<Scope<'q>, Stop> {
    if !matches!(pattern, Pattern::Variable(_)) && item.track.is_some() {
        return Err(Stop::Limit("a pattern stands in a path"));
    }
    match pattern {
        Pattern::Variable(id) => Ok(bind(scope, *id, To::Value(value.clone()))),
        Pattern::Array(patterns) => {
            let mut scope = scope.clone();
            // The last element is read first.
            for (at, pattern) in patterns.iter().enumerate().rev() {
                let inside = paths::get(run, value, &Value::Number(at as f64))?;
                scope = destructure(run, pattern, &inside, &scope, item)?;
            }
            Ok(scope)
        }
        Pattern::Object(fields) => {
            let mut scope = scope.clone();
            for (key, variable, pattern) in fields {
                let inside = paths::get(run, value, key)?;
                if let Some(id) = variable {
                    scope = bind(&scope, *id, To::Value(inside.clone()));
                }
                if let Some(pattern) = pattern {
                    scope = destructure(run, pattern, &inside, &scope, item)?;
                }
            }
            Ok(scope)
        }
    }
}
