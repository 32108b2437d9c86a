//! Whether the tables and modules that a definition names can be used, as far as that can be known before a cut.

use super::Control;
use crate::fault::{Class, Fault};
use crate::schemas::{LoadError, LookupError};
use crate::stage::convert;
use crate::stage::transform;
use crate::stream::definition::{ConvertSpec, Definition, TransformSpec};
use crate::wire::ApiError;

/// Who wants a stream to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedBy {
    /// A request, which waits for Glue and is refused without it.
    Request,
    /// The configuration of a service that starts, and does so whatever Glue does.
    Configuration,
}

/// Checks what `definition` names. What it has in common with the definition `before` it is not looked at again: it is in
/// use, and an update of something else must not fail with it.
pub fn check(
    control: &Control,
    definition: &Definition,
    before: Option<&Definition>,
    wanted_by: WantedBy,
) -> Result<(), ApiError> {
    let converted = before.and_then(|before| before.convert.as_ref());
    if let Some(convert) = &definition.convert
        && converted != Some(convert)
    {
        let is_in_use = converted.is_some_and(|before| before.schema == convert.schema);
        check_schema(control, definition.name.as_str(), convert, is_in_use, wanted_by)?;
    }
    let module = |spec: &TransformSpec| (spec.function.clone(), spec.version.clone(), spec.fuel.is_some());
    let in_use = before.and_then(|before| before.transform.as_ref()).map(module);
    if let Some(transform) = &definition.transform
        && in_use != Some(module(transform))
    {
        check_transform(control, transform)?;
    }
    Ok(())
}

/// Refuses a table that cannot be converted to. A file that is not there yet may come before the first cut, unless Glue
/// is to have the table and a request wants the stream. Of a table that `is_in_use` only what is known counts: what is new
/// must go with it, and Glue is not asked.
fn check_schema(
    control: &Control,
    name: &str,
    convert: &ConvertSpec,
    is_in_use: bool,
    wanted_by: WantedBy,
) -> Result<(), ApiError> {
    if convert.schema.is_inferred() {
        return convert::check_inferred(convert).map_err(|error| ApiError::invalid_argument(error.to_string()));
    }
    let invalid =
        |why: String| Err(ApiError::invalid_argument(format!("The schema in SchemaConfiguration is invalid: {why}")));
    let schemas = &control.folders.schemas;
    let looked = match wanted_by {
        WantedBy::Request if !is_in_use => schemas.newest(&convert.schema),
        WantedBy::Request | WantedBy::Configuration => schemas.current(&convert.schema),
    };
    match looked {
        Ok(found) => convert::check(convert, &found.schema).or_else(|error| invalid(error.to_string())),
        Err(_) if is_in_use => Ok(()),
        Err(LookupError::Folder(error)) if matches!(*error, LoadError::Missing { .. }) => Ok(()),
        Err(error @ LookupError::Glue { .. }) if wanted_by == WantedBy::Configuration => {
            // Where Glue has failed, it has said so in the log; here it may just not have answered yet.
            tracing::info!(stream = name, %error, "the stream is made unchecked; its records wait until Glue tells the table");
            Ok(())
        }
        Err(LookupError::Glue { database, table, error }) if error.class() != Class::User => {
            Err(ApiError::invalid_argument(format!(
                "The schema in SchemaConfiguration cannot be looked up: {error}. Try again once AWS Glue answers, or put \
                 {database}.{table}.sql into the schemas folder."
            )))
        }
        Err(error) => invalid(error.to_string()),
    }
}

/// Refuses a file that is no transform. One that is not there yet may come before the first cut.
fn check_transform(control: &Control, spec: &TransformSpec) -> Result<(), ApiError> {
    match control.folders.transforms.examine(spec) {
        Ok(()) | Err(transform::LoadError::NotFound(_)) => Ok(()),
        Err(error) => {
            let file = transform::file_name(spec).unwrap_or_else(|_| spec.function.clone());
            Err(ApiError::invalid_argument(format!("The transform {file} that LambdaArn names is invalid: {error}")))
        }
    }
}
