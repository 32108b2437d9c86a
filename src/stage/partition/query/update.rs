//! Paths and updates of a program: `path(f)`, `=`, `|=`, `+=` and the others like it.
//!
//! Part of [`super::eval`].

use super::ast::Ast;
use super::eval::{Emit, Flow, Machine, Scope};
use super::functions::Function;
use super::item::Item;
use super::limits::{Run, Stop};
use super::paths;
use super::text;
use super::value::Value;

/// Bytes of a value in messages about paths.
const SHOWN_BYTES: usize = 30;

/// What becomes of a value; none if it is deleted.
type Change<'c> = &'c mut dyn FnMut(&mut Run, &Value) -> Result<Option<Value>, Stop>;

impl<'q> Machine<'q> {
    /// Each path that `targets` gives.
    #[inline(never)]
    pub fn paths(
        self,
        run: &mut Run,
        targets: &'q Ast,
        scope: &Scope<'q>,
        input: &Value,
        emit: &mut dyn FnMut(&mut Run, Value) -> Flow,
    ) -> Flow {
        self.eval(run, targets, scope, Item::tracked(input.clone()), &mut |run, item| {
            if !item.is_path() {
                let shown = text::shown_in(&item.value, SHOWN_BYTES);
                return Err(Stop::error(format!("Invalid path expression with result {shown}")));
            }
            let path = Value::array(run, item.keys())?;
            emit(run, path)
        })
    }

    /// `path(of)`.
    #[inline(never)]
    pub fn path(self, run: &mut Run, of: &'q Ast, scope: &Scope<'q>, item: &Item, emit: Emit) -> Flow {
        self.paths(run, of, scope, &item.value, &mut |run, path| emit(run, item.with(path)))
    }

    /// `targets = value`.
    #[inline(never)]
    pub fn assign(
        self,
        run: &mut Run,
        targets: &'q Ast,
        value: &'q Ast,
        scope: &Scope<'q>,
        item: &Item,
        emit: Emit,
    ) -> Flow {
        self.values(run, value, scope, &item.value, &mut |run, value| {
            let mut made = item.value.clone();
            self.paths(run, targets, scope, &item.value, &mut |run, path| {
                let old = std::mem::replace(&mut made, Value::Null);
                made = paths::set_path(run, old, &path, value.clone())?;
                Ok(())
            })?;
            emit(run, item.with(made))
        })
    }

    /// `input` with each target replaced by what `change` makes of it, or deleted.
    #[inline(never)]
    pub fn modify(
        self,
        run: &mut Run,
        targets: &'q Ast,
        scope: &Scope<'q>,
        input: &Value,
        change: Change,
    ) -> Result<Value, Stop> {
        let mut made = input.clone();
        self.paths(run, targets, scope, input, &mut |run, path| {
            let of = std::mem::replace(&mut made, Value::Null);
            let old = paths::get_path(run, &of, &path)?;
            made = match change(run, &old)? {
                Some(new) => {
                    drop(old);
                    paths::set_path(run, of, &path, new)?
                }
                None => {
                    let gone = Value::array(run, vec![path])?;
                    paths::delete_paths(run, of, &gone)?
                }
            };
            Ok(())
        })?;
        Ok(made)
    }

    /// `targets op= value`, and `//=` without a function.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "an operator with a function")]
    pub fn update(
        self,
        run: &mut Run,
        function: Option<Function>,
        targets: &'q Ast,
        value: &'q Ast,
        scope: &Scope<'q>,
        item: &Item,
        emit: Emit,
    ) -> Flow {
        self.values(run, value, scope, &item.value, &mut |run, value| {
            let made = self.modify(run, targets, scope, &item.value, &mut |run, old| {
                Ok(Some(match function {
                    Some(function) => (function.call)(run, old, &[old.clone(), value.clone()])?,
                    None if old.truthy() => old.clone(),
                    None => value.clone(),
                }))
            })?;
            emit(run, item.with(made))
        })
    }

    /// The first result of `ast`; none without one, or if each break behind a result was swallowed by a `?` inside.
    #[inline(never)]
    pub fn first(self, run: &mut Run, ast: &'q Ast, scope: &Scope<'q>, input: &Value) -> Result<Option<Value>, Stop> {
        let mut first = None;
        let label = run.label();
        let flow = self.values(run, ast, scope, input, &mut |_, value| {
            // A `?` inside may swallow the break, as in jq; what comes later is then what counts, the deletion last of all.
            first = Some(value);
            Err(Stop::Break(label))
        });
        match flow {
            Err(Stop::Break(broken)) if broken == label => Ok(first),
            Err(stop) => Err(stop),
            Ok(()) => Ok(None),
        }
    }
}
