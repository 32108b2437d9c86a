//! What a valid configuration names outside of itself: files and variables. Files are for `hydrant check` only: at run
//! time each is read when it is used, and may come later. A variable cannot come later, so no service starts without it.

use super::Config;
use super::problem::{Problem, Problems};
use crate::control::plan;
use crate::destination::s3::secret::SecretError;
use crate::destination::s3::{Credentials, S3Settings, Secret};
use crate::schemas::{LoadError, SchemaFolder};
use crate::stage::convert;
use crate::stage::transform::{self, TransformFolder, TransformLimits};
use crate::stream::Id128;
use crate::stream::definition::{ConvertSpec, TransformSpec};
use std::fs::File;
use std::path::Path;

/// The least that S3 takes as a part of an upload, the last one excepted.
const S3_PART_LEAST_BYTES: u64 = 5 << 20;

/// Problems around a configuration that was read from `path`.
pub fn surroundings(path: &Path, config: &Config) -> Vec<Problem> {
    let mut problems = Problems::new(path);
    for (member, dir) in [("transforms_dir", &config.transforms_dir), ("schemas_dir", &config.schemas_dir)] {
        let is_named = *dir != config.data_dir.join(member.trim_end_matches("_dir"));
        if is_named && !dir.is_dir() {
            problems.add(None, member, format!("there is no folder {}", dir.display()));
        }
    }
    for (member, message) in small_parts(config) {
        problems.add(None, &member, message);
    }
    if let Some(tls) = &config.api.tls {
        readable(&tls.cert, "api.tls_cert", &mut problems);
        readable(&tls.key, "api.tls_key", &mut problems);
    }
    for (settings, at) in stores(config) {
        if let Some(file) = &settings.ca_file {
            readable(file, &format!("{at}.ca_file"), &mut problems);
        }
        secrets(settings.credentials.as_ref(), &at, &mut problems, |_| true);
    }
    let (http, redshift) = (&config.http.settings, &config.redshift);
    for (section, ca_file, secrets) in
        [("http_endpoint", &http.ca_file, &http.secrets), ("redshift", &redshift.ca_file, &redshift.secrets)]
    {
        if let Some(file) = ca_file {
            readable(file, &format!("{section}.ca_file"), &mut problems);
        }
        for (arn, secret) in secrets {
            if let Err(error) = secret.read() {
                problems.add(None, &format!("{section}.secrets.{arn}"), error.to_string());
            }
        }
    }
    if let Some(glue) = &config.glue {
        if let Some(file) = &glue.settings.ca_file {
            readable(file, "glue.ca_file", &mut problems);
        }
        secrets(glue.settings.credentials.as_ref(), "glue", &mut problems, |_| true);
    }
    let schemas = SchemaFolder::new(&config.schemas_dir);
    let transforms = TransformFolder::new(config.transforms_dir.clone(), TransformLimits::default());
    for request in &config.streams {
        let Ok(plan) = plan(&config.rules(), Id128([0; 16]), request.clone()) else { continue };
        let name = format!("streams.{}", plan.definition.name);
        if let Some(transform) = &plan.definition.transform {
            match &transforms {
                Ok(folder) => module(folder, transform, &name, &mut problems),
                Err(error) => problems.add(None, &name, error.to_string()),
            }
        }
        let of_http = plan.definition.http.as_ref().and_then(|target| target.secret_arn.as_ref());
        let of_redshift = plan.definition.redshift.as_ref().and_then(|target| target.secret_arn.as_ref());
        for (section, secrets, arn) in
            [("http_endpoint", &http.secrets, of_http), ("redshift", &redshift.secrets, of_redshift)]
        {
            if let Some(arn) = arn.filter(|arn| !secrets.contains_key(*arn)) {
                problems.add(None, &name, format!("{section}.secrets has no entry for {arn}"));
            }
        }
        if let Some(convert) = &plan.definition.convert {
            let member = format!("{name}.SchemaConfiguration");
            schema(&schemas, config.glue.is_some(), convert, &member, &mut problems);
        }
    }
    problems.into_list()
}

/// Problems with the variables of a configuration that was read from `path`.
pub fn variables(path: &Path, config: &Config) -> Vec<Problem> {
    let mut problems = Problems::new(path);
    for (settings, at) in stores(config) {
        secrets(settings.credentials.as_ref(), &at, &mut problems, |error| matches!(error, SecretError::Env(_)));
    }
    if let Some(glue) = &config.glue {
        let is_variable = |error: &SecretError| matches!(error, SecretError::Env(_));
        secrets(glue.settings.credentials.as_ref(), "glue", &mut problems, is_variable);
    }
    problems.into_list()
}

/// Sizes of parts that S3 and most other stores do not take, by member. Some do, so a service starts with them.
pub fn small_parts(config: &Config) -> Vec<(String, String)> {
    let is_small = |settings: &S3Settings| settings.part_bytes.is_some_and(|bytes| bytes < S3_PART_LEAST_BYTES);
    let message = "below 5MiB: S3 and most stores refuse an upload in such parts (EntityTooSmall)";
    let small = stores(config).filter(|(settings, _)| is_small(settings));
    small.map(|(_, at)| (format!("{at}.part_size"), message.to_owned())).collect()
}

/// The settings of stores, each with where it stands.
fn stores(config: &Config) -> impl Iterator<Item = (&S3Settings, String)> {
    let buckets = config.s3.buckets.iter().map(|(bucket, settings)| (settings, format!("s3.buckets.{bucket}")));
    std::iter::once((&config.s3, "s3".to_owned())).chain(buckets)
}

fn readable(file: &Path, member: &str, problems: &mut Problems) {
    if let Err(error) = File::open(file) {
        problems.add(None, member, format!("cannot read {}: {error}", file.display()));
    }
}

/// The transform is there and can be run.
fn module(transforms: &TransformFolder, spec: &TransformSpec, member: &str, problems: &mut Problems) {
    if let Err(error) = transforms.examine(spec) {
        let file = transform::file_name(spec).unwrap_or_else(|_| spec.function.clone());
        problems.add(None, member, format!("cannot use {file}: {error}"));
    }
}

/// The table is there and can be converted to. With Glue one without a file is Glue's, which is not asked here.
fn schema(schemas: &SchemaFolder, with_glue: bool, convert: &ConvertSpec, member: &str, problems: &mut Problems) {
    if convert.schema.is_inferred() {
        if let Err(error) = convert::check_inferred(convert) {
            problems.add(None, member, error.to_string());
        }
        return;
    }
    let usable = match schemas.load(&convert.schema.database, &convert.schema.table) {
        Ok(schema) => convert::check(convert, &schema).map_err(|error| error.to_string()),
        Err(LoadError::Missing { .. }) if with_glue => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(message) = usable {
        problems.add(None, member, message);
    }
}

/// Secrets that cannot be read, as far as the error is `of_interest`.
fn secrets(
    credentials: Option<&Credentials>,
    at: &str,
    problems: &mut Problems,
    of_interest: fn(&SecretError) -> bool,
) {
    let Some(keys) = credentials else { return };
    let session_token = keys.session_token.as_ref();
    let secrets: [(&str, Option<&Secret>); 3] = [
        ("access_key_id", Some(&keys.access_key_id)),
        ("secret_access_key", Some(&keys.secret_access_key)),
        ("session_token", session_token),
    ];
    for (member, secret) in secrets {
        match secret.map(Secret::read) {
            Some(Err(error)) if of_interest(&error) => {
                problems.add(None, &format!("{at}.credentials.{member}"), error.to_string());
            }
            _ => {}
        }
    }
}
