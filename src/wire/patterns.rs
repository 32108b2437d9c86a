//! The regular expressions of the service model, each as its text (for messages) and a function that decides.
//!
//! A value must match as a whole. `\w` and `\d` are ASCII, as in Java.

/// A pattern of the model.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// As the service prints it.
    pub text: &'static str,
    /// Whether a value matches.
    pub matches: fn(&str) -> bool,
}

impl Pattern {
    /// DeliveryStreamName.
    pub const STREAM_NAME: Self =
        Self { text: "[a-zA-Z0-9_.-]+", matches: |s| all(s, 1, |c| word(c) || in_set(c, ".-")) };
    /// CurrentDeliveryStreamVersionId.
    pub const VERSION_ID: Self = Self { text: "[0-9]+", matches: |s| all(s, 1, |c| c.is_ascii_digit()) };
    /// DestinationId.
    pub const DESTINATION_ID: Self =
        Self { text: "[a-zA-Z0-9-]+", matches: |s| all(s, 1, |c| c.is_ascii_alphanumeric() || c == '-') };
    /// RoleARN.
    pub const ROLE_ARN: Self = Self {
        text: r"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+",
        matches: |s| arn(s, ":iam::", |rest| account_then(rest, ":role/", resource)),
    };
    /// BucketARN.
    pub const BUCKET_ARN: Self = Self {
        text: r"arn:.*:s3:::[\w\.\-]{1,255}",
        matches: |s| arn(s, ":s3:::", |b| all(b, 1, |c| word(c) || in_set(c, ".-")) && b.len() <= 255),
    };
    /// AWSKMSKeyARN.
    pub const KMS_KEY_ARN: Self = Self {
        text: r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+",
        matches: |s| {
            arn(s, ":kms:", |rest| {
                let Some((region, rest)) = rest.split_once(':') else { return false };
                all(region, 1, |c| c.is_ascii_alphanumeric() || c == '-')
                    && (account_then(rest, ":key/", resource) || account_then(rest, ":alias/", resource))
            })
        },
    };
    /// Prefix, ErrorOutputPrefix: one line.
    pub const ONE_LINE: Self = Self { text: ".*", matches: |s| !s.contains(is_line_end) };
    /// EndpointConfiguration's Url; `http://` besides, which `control::rules` bounds.
    pub const ENDPOINT_URL: Self = Self {
        text: "https://.*",
        matches: |s| !s.contains(is_line_end) && ["https://", "http://"].iter().any(|scheme| s.starts_with(scheme)),
    };
    /// ClusterJDBCURL, where the service's limits hold.
    pub const CLUSTER_URL: Self = Self {
        text: r"jdbc:(redshift|postgresql)://((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+",
        matches: cluster_url,
    };
    /// LedgerTable (an extension): a name that needs no quotes, with that of its schema or without.
    pub const TABLE_NAME: Self = Self {
        text: r"[a-zA-Z_][a-zA-Z0-9_]*(\.[a-zA-Z_][a-zA-Z0-9_]*)?",
        matches: |s| {
            let is_name = |s: &str| all(s, 1, word) && !s.starts_with(|c: char| c.is_ascii_digit());
            s.split('.').count() <= 2 && s.split('.').all(is_name)
        },
    };
    /// SecretARN.
    pub const SECRET_ARN: Self = Self {
        text: r"arn:.*:secretsmanager:[a-zA-Z0-9\-]+:\d{12}:secret:[a-zA-Z0-9\-/_+=.@!]+",
        matches: |s| {
            arn(s, ":secretsmanager:", |rest| {
                let Some((region, rest)) = rest.split_once(':') else { return false };
                all(region, 1, |c| c.is_ascii_alphanumeric() || c == '-')
                    && account_then(rest, ":secret:", |name| all(name, 1, |c| word(c) || in_set(c, "-/+=.@!")))
            })
        },
    };
    /// LogGroupName.
    pub const LOG_GROUP: Self =
        Self { text: r"[\.\-_/#A-Za-z0-9]*", matches: |s| all(s, 0, |c| word(c) || in_set(c, ".-/#")) };
    /// LogStreamName.
    pub const LOG_STREAM: Self = Self { text: "[^:*]*", matches: |s| !s.contains([':', '*']) };
    /// Non-empty, no white space.
    pub const NO_SPACE: Self = Self { text: r"^\S+$", matches: |s| all(s, 1, |c| !java_space(c)) };
    /// Some text that is not white space alone, on one line.
    pub const SOME_TEXT: Self =
        Self { text: r"^(?!\s*$).+", matches: |s| !s.contains(is_line_end) && s.contains(|c| !java_space(c)) };
    /// FileExtension.
    pub const FILE_EXTENSION: Self = Self {
        text: r"^$|\.[0-9a-z!\-_.*'()]+",
        matches: |s| {
            let good = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || in_set(c, "!-_.*'()");
            s.is_empty() || s.strip_prefix('.').is_some_and(|rest| all(rest, 1, good))
        },
    };
    /// CustomTimeZone.
    pub const TIME_ZONE: Self =
        Self { text: "^$|[a-zA-Z/_]+", matches: |s| all(s, 0, |c| c.is_ascii_alphabetic() || in_set(c, "/_")) };
    /// Tag key.
    pub const TAG_KEY: Self = Self {
        text: r"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$",
        matches: |s| !s.starts_with("aws:") && all(s, 0, tag_character),
    };
    /// Tag value.
    pub const TAG_VALUE: Self =
        Self { text: r"^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$", matches: |s| all(s, 0, tag_character) };
}

fn all(text: &str, min: usize, good: impl Fn(char) -> bool) -> bool {
    text.len() >= min && text.chars().all(good)
}

fn cluster_url(url: &str) -> bool {
    let rest = ["jdbc:redshift://", "jdbc:postgresql://"].iter().find_map(|start| url.strip_prefix(start));
    let Some((place, database)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    let Some((host, port)) = place.rsplit_once(':') else { return false };
    let is_label = |label: &str| {
        all(label, 1, |c| c.is_ascii_alphanumeric() || c == '-')
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Labels, then `redshift` or `redshift-serverless`, then what is left: any split that fits.
    let splits = [".redshift.", ".redshift-serverless."]
        .iter()
        .flat_map(|middle| host.match_indices(middle).map(|(at, middle)| (&host[..at], &host[at + middle.len()..])));
    let fits = |(labels, rest): (&str, &str)| {
        labels.split('.').all(is_label) && all(rest, 1, |c| c.is_ascii_alphanumeric() || in_set(c, ".-"))
    };
    splits.into_iter().any(fits)
        && all(port, 1, |c| c.is_ascii_digit())
        && port.len() <= 5
        && all(database, 1, |c| word(c) || in_set(c, "$-"))
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn in_set(c: char, set: &str) -> bool {
    set.contains(c)
}

fn resource(text: &str) -> bool {
    all(text, 1, |c| word(c) || in_set(c, "+=,.@-/"))
}

/// `arn:` + anything on one line + `service` + a rest that `rest` takes. `.*` is greedy, hence every split is tried.
fn arn(text: &str, service: &str, rest: impl Fn(&str) -> bool) -> bool {
    let Some(after) = text.strip_prefix("arn:") else { return false };
    after.match_indices(service).any(|(at, _)| !after[..at].contains(is_line_end) && rest(&after[at + service.len()..]))
}

fn account_then(text: &str, separator: &str, rest: impl Fn(&str) -> bool) -> bool {
    text.split_once(separator)
        .is_some_and(|(account, tail)| account.len() == 12 && all(account, 12, |c| c.is_ascii_digit()) && rest(tail))
}

/// What `.` does not match in Java.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `\s` in Java.
fn java_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@%]`.
fn tag_character(c: char) -> bool {
    // Control characters that Rust counts as white space (tab, line feed) are no separators (\p{Z}).
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || in_set(c, "_.:/=+-@%")
}
