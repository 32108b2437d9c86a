//! ClusterJDBCURL: where a cluster is, and whether the connection is by TLS. Pure.
//!
//! `jdbc:redshift://host:port/database`, `jdbc:postgresql://…`, with properties behind `?` or `;`. TLS is always with a
//! certificate that is trusted and names the host; without it a session goes to this machine, or where the URL says so and
//! the configuration allows it.

use percent_encoding::percent_decode_str;
use std::net::IpAddr;

/// Port of a URL without one.
const REDSHIFT_PORT: u16 = 5439;
const POSTGRESQL_PORT: u16 = 5432;

/// Where sessions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Whether sessions are by TLS.
    pub tls: bool,
}

impl Server {
    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Why a URL is refused; a sentence's end behind "ClusterJDBCURL".
pub type Refusal = String;

/// The server that a URL names. `allow_plain`: sessions to other machines may go without TLS.
pub fn parse(url: &str, allow_plain: bool) -> Result<Server, Refusal> {
    let form = "must be jdbc:redshift://HOST:PORT/DATABASE or jdbc:postgresql://HOST:PORT/DATABASE";
    let (rest, default_port) = match (url.strip_prefix("jdbc:redshift://"), url.strip_prefix("jdbc:postgresql://")) {
        (Some(rest), _) => (rest, REDSHIFT_PORT),
        (None, Some(rest)) => (rest, POSTGRESQL_PORT),
        (None, None) => return Err(form.to_owned()),
    };
    let (place, properties) = rest.split_once(['?', ';']).unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').ok_or(form)?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']').ok_or(form)?;
            (host, port.strip_prefix(':'))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(form)?,
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_host = host.parse::<IpAddr>().is_ok() || !host.is_empty() && host.chars().all(is_name);
    let database = percent_decode_str(database).decode_utf8().map_err(|_| form)?.into_owned();
    if !is_host || database.is_empty() || database.contains('/') {
        return Err(form.to_owned());
    }
    let wanted = tls(properties)?;
    let mut server = Server { host: host.to_owned(), port, database, tls: true };
    server.tls = wanted.unwrap_or(!server.is_loopback());
    if !server.tls && !server.is_loopback() && !allow_plain {
        return Err("asks for a session without TLS to another machine: anybody on the way can read the password and \
                    the records. Leave ssl and sslmode out, or set redshift.allow_plain: true in the configuration of \
                    Hydrant."
            .to_owned());
    }
    Ok(server)
}

/// What the properties say of TLS; others, which are a driver's, have no effect.
fn tls(properties: &str) -> Result<Option<bool>, Refusal> {
    let mut wanted = None;
    for property in properties.split(['&', ';']).filter(|property| !property.is_empty()) {
        let (name, value) = property.split_once('=').unwrap_or((property, ""));
        let says = match (name.to_ascii_lowercase().as_str(), value.to_ascii_lowercase().as_str()) {
            ("ssl", "true" | "") => true,
            ("ssl", "false") => false,
            // Whoever would do without TLS is not offered it: who stands between could refuse it.
            ("sslmode", "disable" | "allow" | "prefer") => false,
            ("sslmode", "require" | "verify-ca" | "verify-full") => true,
            ("ssl", value) => return Err(format!("has ssl={value}, which is neither true nor false.")),
            ("sslmode", value) => {
                let known = "disable, allow, prefer, require, verify-ca, verify-full";
                return Err(format!("has sslmode={value}, which is none of {known}."));
            }
            ("user" | "uid" | "password" | "pwd", _) => {
                return Err(format!("must not have {name}: it is shown by Describe. Use Username and Password."));
            }
            _ => continue,
        };
        // `sslmode` says more than `ssl`.
        if wanted.is_none() || name.eq_ignore_ascii_case("sslmode") {
            wanted = Some(says);
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_drivers() {
        let cluster = "c.abc123.us-east-1.redshift.amazonaws.com";
        for (url, host, port, database, tls) in [
            (&format!("jdbc:redshift://{cluster}:5439/dev")[..], cluster, 5439, "dev", true),
            (&format!("jdbc:redshift://{cluster}/dev?ssl=true&tcpKeepAlive=true"), cluster, 5439, "dev", true),
            ("jdbc:postgresql://db.example/x;sslmode=verify-ca", "db.example", 5432, "x", true),
            ("jdbc:postgresql://127.0.0.1:1/a%20b", "127.0.0.1", 1, "a b", false),
            ("jdbc:postgresql://localhost/x?ssl=true", "localhost", 5432, "x", true),
            ("jdbc:postgresql://localhost/x?sslmode=disable&ssl=true", "localhost", 5432, "x", false),
            ("jdbc:postgresql://localhost/x?ssl=false&sslmode=require", "localhost", 5432, "x", true),
            ("jdbc:postgresql://[::1]:7/x", "::1", 7, "x", false),
        ] {
            let server = Server { host: host.to_owned(), port, database: database.to_owned(), tls };
            assert_eq!(parse(url, false), Ok(server), "{url}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for url in [
            "",
            "redshift://h:1/d",
            "jdbc:redshift:iam://h:1/d",
            "jdbc:mysql://h/d",
            "jdbc:redshift://h:1",
            "jdbc:redshift://h:1/",
            "jdbc:redshift://:1/d",
            "jdbc:redshift://h:0/d",
            "jdbc:redshift://h:65536/d",
            "jdbc:redshift://h:x/d",
            "jdbc:redshift://user@h/d",
            "jdbc:redshift://h/d/e",
            "jdbc:redshift://[::1/d",
        ] {
            assert!(parse(url, true).is_err_and(|text| text.contains("HOST:PORT")), "{url}");
        }
        for (url, expected) in [
            ("jdbc:redshift://h/d?ssl=maybe", "ssl=maybe"),
            ("jdbc:redshift://h/d?sslmode=off", "none of disable"),
            ("jdbc:redshift://h/d?user=a&password=b", "must not have user"),
            ("jdbc:redshift://h/d;PWD=b", "must not have PWD"),
        ] {
            assert!(parse(url, true).is_err_and(|text| text.contains(expected)), "{url}");
        }
    }

    #[test]
    fn without_tls_only_to_this_machine_or_where_it_is_allowed() {
        for url in ["jdbc:redshift://h/d?ssl=false", "jdbc:redshift://127.0.0.1.example/d?sslmode=prefer"] {
            assert!(parse(url, false).is_err_and(|text| text.contains("redshift.allow_plain")), "{url}");
            assert!(!parse(url, true).unwrap().tls, "{url}");
        }
    }
}
