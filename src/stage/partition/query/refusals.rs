//! Names with a rule of their own: what is refused and why, and what is more than a function of values.
//!
//! Refused at Create is whatever could give another key than jq 1.6 does: results that depend on the machine, time or
//! other records, functions that jq 1.6 lacks, patterns and date formats that are not known before a record comes.

use super::ast::Ast;
use super::dates;
use super::pattern::Pattern;
use super::value::Value;
use std::sync::Arc;

/// Why `?//` is refused.
pub const ALTERNATIVES: &str = "'?//' is not supported";

/// Why a call of `name` is refused, if it is known by name.
pub fn of_function(name: &str, arity: usize) -> Option<String> {
    let call = format!("{name}/{arity}");
    let depends = match call.as_str() {
        "now/0" => "the time",
        "env/0" | "input_filename/0" | "get_search_list/0" | "modulemeta/0" => "the machine",
        "localtime/0" | "strflocaltime/1" => "the time zone of the machine",
        "input/0" | "inputs/0" | "input_line_number/0" => "other records",
        "debug/0" | "debug/1" | "stderr/0" | "halt/0" | "halt_error/0" | "halt_error/1" => {
            return Some(format!("{call} acts on the process that runs it"));
        }
        "pow/2" | "log/0" | "log2/0" | "log10/0" | "exp/0" | "exp2/0" | "exp10/0" | "sin/0" | "cos/0" | "tan/0"
        | "asin/0" | "acos/0" | "atan/0" | "atan2/2" | "sinh/0" | "cosh/0" | "tanh/0" | "cbrt/0" | "gamma/0"
        | "lgamma/0" | "tgamma/0" | "pow10/0" | "expm1/0" | "log1p/0" => "the mathematics library of the machine",
        _ => return None,
    };
    Some(format!("{call} depends on {depends}"))
}

/// Why a function that is not known is refused.
pub fn unknown(name: &str, arity: usize) -> String {
    const OMITTED: &[&str] = &[
        "repeat/1",
        "combinations/0",
        "combinations/1",
        "transpose/0",
        "truncate_stream/1",
        "fromstream/1",
        "tostream/0",
        "bsearch/1",
        "INDEX/1",
        "INDEX/2",
        "JOIN/2",
        "JOIN/3",
        "JOIN/4",
        "builtins/0",
        "input_line_number/0",
        "format/1",
        "halt/0",
        "error/2",
        "leaf_paths/1",
        "frexp/0",
        "modf/0",
        "ldexp/2",
        "scalb/2",
        "significand/0",
        "logb/0",
        "drem/2",
        "nearbyint/0",
        "rint/0",
        "trunc/0",
    ];
    let call = format!("{name}/{arity}");
    if OMITTED.contains(&call.as_str()) {
        format!("{call} is not supported")
    } else {
        format!("{call} is not a function of jq 1.6")
    }
}

/// What `name` with `arguments` is if it is more than a function of values.
pub fn special(name: &str, arguments: &mut Vec<Ast>) -> Result<Option<Ast>, String> {
    let boxed = |arguments: &mut Vec<Ast>| Box::new(arguments.remove(0));
    Ok(Some(match (name, arguments.len()) {
        ("empty", 0) => Ast::Empty,
        ("error", 0) => Ast::Error(None),
        ("error", 1) => Ast::Error(Some(boxed(arguments))),
        ("recurse" | "recurse_down", 0) => Ast::Recurse,
        ("path", 1) => Ast::Path(boxed(arguments)),
        ("getpath", 1) => Ast::GetPath(boxed(arguments)),
        ("range", 1) => Ast::Range(Box::new(Ast::Const(Value::Number(0.0))), boxed(arguments)),
        ("range", 2) => Ast::Range(boxed(arguments), boxed(arguments)),
        ("until", 2) => Ast::Until(boxed(arguments), boxed(arguments)),
        ("strftime", 1) => {
            dates::check_output(&constant(name, &arguments[0])?)?;
            return Ok(None);
        }
        ("strptime", 1) => {
            dates::check_input(&constant(name, &arguments[0])?)?;
            return Ok(None);
        }
        ("test", 1 | 2) => matches(name, arguments, false, true)?.0,
        ("match", 1 | 2) => each(matches(name, arguments, false, false)?.0),
        ("capture", 1 | 2) => pipe(each(matches(name, arguments, false, false)?.0), "_captured"),
        ("scan", 1) => pipe(each(matches(name, arguments, true, false)?.0), "_scanned"),
        ("splits", 1 | 2) => each(split(name, arguments)?),
        ("split", 2) => split(name, arguments)?,
        ("sub" | "gsub", 2 | 3) => {
            let replacement = Box::new(arguments.remove(1));
            let (matches, global) = matches(name, arguments, name == "gsub", false)?;
            let Ast::Matches { pattern, .. } = matches else { return Ok(None) };
            Ast::Substitute { pattern, replacement, global }
        }
        _ => return Ok(None),
    }))
}

fn each(of: Ast) -> Ast {
    Ast::Each { of: Box::new(of), optional: false }
}

fn pipe(left: Ast, function: &'static str) -> Ast {
    match super::functions::named(function, 0) {
        Some(function) => Ast::Pipe(Box::new(left), Box::new(Ast::Apply(function, Vec::new()))),
        None => left,
    }
}

/// A text known before any record comes.
fn constant(name: &str, argument: &Ast) -> Result<Arc<str>, String> {
    match argument {
        Ast::Const(Value::String(text)) => Ok(text.clone()),
        _ => Err(format!("the argument of {name} must be a string without interpolation")),
    }
}

/// The matches of a pattern, `global` if the flags say so too, and whether it became global.
fn matches(name: &str, arguments: &[Ast], global: bool, test: bool) -> Result<(Ast, bool), String> {
    let text = constant(name, &arguments[0])?;
    let flags = match arguments.get(1) {
        None | Some(Ast::Const(Value::Null)) => "".into(),
        Some(flags) => constant(name, flags)?,
    };
    let mut any_case = false;
    let mut every = global;
    for flag in flags.chars() {
        match flag {
            'g' => every = true,
            'i' => any_case = true,
            'x' | 's' | 'n' | 'p' | 'l' | 'm' => return Err(format!("the flag {flag} of {name} is not supported")),
            _ => return Err(format!("{flags} is not a valid modifier string")),
        }
    }
    let pattern = Pattern::parse(&text, any_case).map_err(|why| format!("the pattern {text:?} of {name}: {why}"))?;
    Ok((Ast::Matches { pattern: Arc::new(pattern), global: every, test }, every))
}

/// The parts of the input between matches, as an array.
fn split(name: &str, arguments: &[Ast]) -> Result<Ast, String> {
    let (matches, _) = matches(name, arguments, true, false)?;
    match super::functions::named("_between", 1) {
        Some(function) => Ok(Ast::Apply(function, vec![matches])),
        None => Err(format!("{name} is not supported")),
    }
}
