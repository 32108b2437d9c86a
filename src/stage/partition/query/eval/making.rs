//! Expressions that make values of others: strings, arrays, objects, `and`, `or`, `//`, `try`.

use super::super::ast::{Ast, Format};
use super::super::formats::format;
use super::super::item::Item;
use super::super::limits::{Run, Stop};
use super::super::text;
use super::super::value::Value;
use super::{Emit, Flow, Machine, Scope};

impl<'q> Machine<'q> {
    /// A string from its parts, of which the last varies slowest.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "one recursion")]
    pub(super) fn interpolate(
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
    pub(super) fn collect(self, run: &mut Run, inside: &'q Ast, scope: &Scope<'q>, item: &Item, emit: Emit) -> Flow {
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
    pub(super) fn object(
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
    pub(super) fn logic(
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
    pub(super) fn alternative(
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
    pub(super) fn attempt(
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
}
