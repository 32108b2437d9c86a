//! What a program is once parsed: names are resolved, patterns and date formats compiled.
//!
//! Made by `parse`, run by `eval`.

use super::functions::Function;
use super::pattern::Pattern as Regex;
use super::value::Value;
use std::sync::Arc;

/// A binder, unique in its query.
pub type Id = u32;

/// An expression.
#[derive(Debug)]
pub enum Ast {
    Identity,
    Const(Value),
    /// `of[key]`; the key is computed from the input of the whole.
    Index {
        of: Box<Ast>,
        key: Box<Ast>,
        optional: bool,
    },
    /// `of[from:upto]`.
    Slice {
        of: Box<Ast>,
        from: Option<Box<Ast>>,
        upto: Option<Box<Ast>>,
        optional: bool,
    },
    /// `of[]`.
    Each {
        of: Box<Ast>,
        optional: bool,
    },
    /// A string with interpolations, each formatted.
    Interpolation {
        format: Format,
        parts: Vec<Ast>,
    },
    /// `@name`.
    Format(Format),
    Array(Box<Ast>),
    Object(Vec<(Ast, Ast)>),
    Negate(Box<Ast>),
    Pipe(Box<Ast>, Box<Ast>),
    Comma(Box<Ast>, Box<Ast>),
    And(Box<Ast>, Box<Ast>),
    Or(Box<Ast>, Box<Ast>),
    /// `a // b`.
    Alternative(Box<Ast>, Box<Ast>),
    /// `paths = value`.
    Assign(Box<Ast>, Box<Ast>),
    /// `paths |= update`.
    Modify(Box<Ast>, Box<Ast>),
    /// `paths op= value`, and `//=` where there is no function.
    Update(Option<Function>, Box<Ast>, Box<Ast>),
    If {
        condition: Box<Ast>,
        then: Box<Ast>,
        otherwise: Box<Ast>,
    },
    Try {
        body: Box<Ast>,
        catch: Option<Box<Ast>>,
    },
    Reduce {
        source: Box<Ast>,
        pattern: Pattern,
        init: Box<Ast>,
        update: Box<Ast>,
    },
    Foreach {
        source: Box<Ast>,
        pattern: Pattern,
        init: Box<Ast>,
        update: Box<Ast>,
        extract: Box<Ast>,
    },
    Bind {
        source: Box<Ast>,
        pattern: Pattern,
        body: Box<Ast>,
    },
    Label(Id, Box<Ast>),
    Break(Id),
    Variable(Id),
    /// A definition and where it holds.
    Define(Arc<Definition>, Box<Ast>),
    /// A function defined in the query or a parameter.
    Call(Id, Vec<Ast>),
    /// A function of the language that is defined in it.
    Library(usize, Vec<Ast>),
    /// A function of values: all arguments are computed first.
    Apply(Function, Vec<Ast>),
    /// All matches of a pattern in the input, as an array; or only whether there is one.
    Matches {
        pattern: Arc<Regex>,
        global: bool,
        test: bool,
    },
    /// `sub` and `gsub`.
    Substitute {
        pattern: Arc<Regex>,
        replacement: Box<Ast>,
        global: bool,
    },
    Empty,
    /// `error`, `error(message)`.
    Error(Option<Box<Ast>>),
    /// `..`.
    Recurse,
    /// `path(f)`.
    Path(Box<Ast>),
    /// `getpath(p)`.
    GetPath(Box<Ast>),
    /// `range(from; upto)`.
    Range(Box<Ast>, Box<Ast>),
    /// `until(condition; next)`.
    Until(Box<Ast>, Box<Ast>),
}

/// A definition of a function.
#[derive(Debug)]
pub struct Definition {
    pub id: Id,
    /// Binders of the parameters; one named `$x` also binds that variable.
    pub parameters: Vec<(Id, Option<Id>)>,
    pub body: Ast,
}

/// What `as` binds.
#[derive(Debug)]
pub enum Pattern {
    Variable(Id),
    Array(Vec<Pattern>),
    Object(Vec<(Value, Option<Id>, Option<Pattern>)>),
}

/// A string format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Csv,
    Tsv,
    Html,
    Uri,
    Sh,
    Base64,
    Base64d,
}

impl Format {
    /// The format `@name`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "json" => Self::Json,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "html" => Self::Html,
            "uri" => Self::Uri,
            "sh" => Self::Sh,
            "base64" => Self::Base64,
            "base64d" => Self::Base64d,
            _ => return None,
        })
    }
}
