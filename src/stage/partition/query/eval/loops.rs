//! Expressions that go round: `reduce`, `foreach`, `range`, `until`; and what their patterns bind.

use super::super::ast::{Ast, Pattern};
use super::super::item::Item;
use super::super::limits::{Run, Stop};
use super::super::paths;
use super::super::value::Value;
use super::{Emit, Flow, Machine, Scope, To, bind};

impl<'q> Machine<'q> {
    #[inline(never)]
    pub(super) fn reduce(
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
    pub(super) fn foreach(
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
    pub(super) fn range(
        self,
        run: &mut Run,
        from: &'q Ast,
        upto: &'q Ast,
        scope: &Scope<'q>,
        item: &Item,
        emit: Emit,
    ) -> Flow {
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
    pub(super) fn until(
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

/// Binds the variables of `pattern` to parts of `value`.
pub(super) fn destructure<'q>(
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
