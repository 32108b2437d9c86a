//! What a valid configuration names outside of itself: files and variables. For `hydrant check` only: at run time each
//! is read when it is used, and may come later.

use super::Config;
use super::problem::{Problem, Problems};
use crate::control::plan;
use crate::destination::s3::{S3Settings, Secret};
use crate::stage::convert::{self, SchemaFolder};
use crate::stream::Id128;
use crate::stream::definition::ConvertSpec;
use std::fs::File;
use std::path::Path;

/// Problems around a configuration that was read from `path`.
pub fn surroundings(path: &Path, config: &Config) -> Vec<Problem> {
    let mut problems = Problems::new(path);
    if let Some(tls) = &config.api.tls {
        readable(&tls.cert, "api.tls_cert", &mut problems);
        readable(&tls.key, "api.tls_key", &mut problems);
    }
    s3(&config.s3, "s3", &mut problems);
    for (bucket, settings) in &config.s3.buckets {
        s3(settings, &format!("s3.buckets.{bucket}"), &mut problems);
    }
    let schemas = SchemaFolder::new(&config.schemas_dir);
    for request in &config.streams {
        let Ok(plan) = plan(&config.rules(), Id128([0; 16]), request.clone()) else { continue };
        let name = format!("streams.{}", plan.definition.name);
        if let Some(transform) = &plan.definition.transform {
            let version = transform.version.as_deref().filter(|version| *version != "$LATEST");
            let file = match version {
                Some(version) => format!("{}@{version}.wasm", transform.function),
                None => format!("{}.wasm", transform.function),
            };
            readable(&config.transforms_dir.join(file), &name, &mut problems);
        }
        if let Some(convert) = &plan.definition.convert {
            schema(&schemas, convert, &format!("{name}.SchemaConfiguration"), &mut problems);
        }
    }
    problems.into_list()
}

fn readable(file: &Path, member: &str, problems: &mut Problems) {
    if let Err(error) = File::open(file) {
        problems.add(None, member, format!("cannot read {}: {error}", file.display()));
    }
}

/// The table is there and can be converted to.
fn schema(schemas: &SchemaFolder, convert: &ConvertSpec, member: &str, problems: &mut Problems) {
    let usable = match schemas.load(&convert.schema.database, &convert.schema.table) {
        Ok(schema) => convert::check(convert, &schema).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(message) = usable {
        problems.add(None, member, message);
    }
}

fn s3(settings: &S3Settings, at: &str, problems: &mut Problems) {
    if let Some(file) = &settings.ca_file {
        readable(file, &format!("{at}.ca_file"), problems);
    }
    let Some(keys) = &settings.credentials else { return };
    let session_token = keys.session_token.as_ref();
    let secrets: [(&str, Option<&Secret>); 3] = [
        ("access_key_id", Some(&keys.access_key_id)),
        ("secret_access_key", Some(&keys.secret_access_key)),
        ("session_token", session_token),
    ];
    for (member, secret) in secrets {
        if let Some(Err(error)) = secret.map(Secret::read) {
            problems.add(None, &format!("{at}.credentials.{member}"), error.to_string());
        }
    }
}
