//! What has a name: definitions of a program or of the library, functions of values, and `sub`.

use super::super::ast::{Ast, Definition, Id};
use super::super::functions::{self, Function};
use super::super::item::Item;
use super::super::limits::{Run, Stop};
use super::super::matching;
use super::super::pattern::Pattern;
use super::super::value::Value;
use super::{Emit, Flow, Machine, Scope, To, bind, look_up};

impl<'q> Machine<'q> {
    #[inline(never)]
    pub(super) fn call(
        self,
        run: &mut Run,
        id: Id,
        arguments: &'q [Ast],
        scope: &Scope<'q>,
        item: Item,
        emit: Emit,
    ) -> Flow {
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
    pub(super) fn enter(
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
    pub(super) fn apply(
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
    pub(super) fn substitute(
        self,
        run: &mut Run,
        search: (&'q Pattern, bool),
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
}
