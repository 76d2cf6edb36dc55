//! Envoy's `%OPERATOR%` format strings, as used in added headers and the access log.
//!
//! Source: Envoy, "Access logging: command operators". Only operators that have a meaning in
//! this gateway are known; any other is an error for its author.

use std::borrow::Cow;
use std::sync::Arc;

/// A parsed format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(Arc<str>),
    /// A value that is looked up for each request, cut to a length if one was given.
    Value(Operator, Option<usize>),
}

/// A value of a request, a response or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// `%REQ(NAME?OTHER)%`: a request header, or another one if it is absent. Names in lower case.
    RequestHeader(Arc<str>, Option<Arc<str>>),
    /// `%RESP(NAME?OTHER)%`: a response header, or another one if it is absent.
    ResponseHeader(Arc<str>, Option<Arc<str>>),
    /// An operator without arguments.
    Field(Field),
}

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Operators without arguments.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])* $variant,)* }

        impl Field {
            /// The operator of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

fields! {
    /// When the request began, in RFC 3339 with milliseconds.
    StartTime = "START_TIME",
    /// `HTTP/1.1` or `HTTP/2`.
    Protocol = "PROTOCOL",
    /// The response's status, 0 if there was none.
    ResponseCode = "RESPONSE_CODE",
    /// Why the gateway answered as it did, in words.
    ResponseCodeDetails = "RESPONSE_CODE_DETAILS",
    /// Envoy's short flags.
    ResponseFlags = "RESPONSE_FLAGS",
    /// Bytes of the request's body.
    BytesReceived = "BYTES_RECEIVED",
    /// Bytes of the response's body.
    BytesSent = "BYTES_SENT",
    /// Milliseconds from the request's first byte to the response's last.
    Duration = "DURATION",
    /// The upstream's address.
    UpstreamHost = "UPSTREAM_HOST",
    /// The cluster's name.
    UpstreamCluster = "UPSTREAM_CLUSTER",
    /// The gateway's address towards the upstream.
    UpstreamLocalAddress = "UPSTREAM_LOCAL_ADDRESS",
    /// Why no connection could be made.
    UpstreamTransportFailureReason = "UPSTREAM_TRANSPORT_FAILURE_REASON",
    /// The gateway's address towards the client.
    DownstreamLocalAddress = "DOWNSTREAM_LOCAL_ADDRESS",
    /// The same without its port.
    DownstreamLocalAddressWithoutPort = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    /// The gateway's port.
    DownstreamLocalPort = "DOWNSTREAM_LOCAL_PORT",
    /// The client's address, with its port.
    DownstreamRemoteAddress = "DOWNSTREAM_REMOTE_ADDRESS",
    /// The client's address without its port.
    DownstreamRemoteAddressWithoutPort = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    /// The peer's address without its port.
    DownstreamDirectRemoteAddressWithoutPort = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    /// The server name of TLS.
    RequestedServerName = "REQUESTED_SERVER_NAME",
    /// The name of the object whose route answered.
    RouteName = "ROUTE_NAME",
    /// The gateway's host name.
    Hostname = "HOSTNAME",
}

/// Why a format string can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A percent sign without its partner.
    #[error("unbalanced %; write %% for a percent sign")]
    Unbalanced,
    /// An operator that doesn't exist or has no meaning here.
    #[error("unknown operator %{0}%")]
    UnknownOperator(String),
    /// An operator whose argument is missing or wrong.
    #[error("%{0}% needs a header name in parentheses")]
    Argument(String),
    /// A character that can't stand in a header.
    #[error("control characters can't stand in a header value")]
    ControlCharacter,
}

/// Where a template finds its values.
pub trait Values {
    /// The value of an operator, or `None` where there is none.
    fn value(&self, operator: &Operator) -> Option<Cow<'_, str>>;
}

impl Template {
    /// Parses a format string. `%%` is a percent sign.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(TemplateError::ControlCharacter);
        }
        Self::parse_lines(text)
    }

    /// As [`Template::parse`], but line ends may stand in the text, as in log formats.
    pub fn parse_lines(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('%') {
            literal.push_str(&rest[..start]);
            let (inside, after) =
                rest[start + 1..].split_once('%').ok_or(TemplateError::Unbalanced)?;
            rest = after;
            if inside.is_empty() {
                literal.push('%');
                continue;
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(parse_operator(inside)?);
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self { parts })
    }

    /// The text, if it holds no operator.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text with the values in it; values that don't exist leave nothing. `None` if all of it
    /// would be empty for want of a value: Envoy then adds no header at all.
    pub fn render(&self, values: &impl Values) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(operator, limit) => {
                    if let Some(value) = values.value(operator) {
                        let end = limit.unwrap_or(usize::MAX);
                        out.extend(value.chars().take(end));
                    }
                }
            }
        }
        (!out.is_empty() || self.literal().is_some()).then_some(out)
    }
}

/// `NAME`, `NAME(argument)` or `NAME(argument):length`.
fn parse_operator(text: &str) -> Result<Part, TemplateError> {
    let unknown = || TemplateError::UnknownOperator(text.to_owned());
    let Some((name, rest)) = text.split_once('(') else {
        let field = Field::from_name(text).ok_or_else(unknown)?;
        return Ok(Part::Value(Operator::Field(field), None));
    };
    let (argument, tail) = rest.split_once(')').ok_or_else(unknown)?;
    let limit = match tail.strip_prefix(':') {
        Some(length) => Some(length.parse().map_err(|_| unknown())?),
        None if tail.is_empty() => None,
        None => return Err(unknown()),
    };
    let header = |argument: &str| -> Result<(Arc<str>, Option<Arc<str>>), TemplateError> {
        let (first, other) = match argument.split_once('?') {
            Some((first, other)) => (first, Some(other)),
            None => (argument, None),
        };
        if first.is_empty() || other.is_some_and(str::is_empty) {
            return Err(TemplateError::Argument(text.to_owned()));
        }
        let lower = |name: &str| Arc::from(name.to_ascii_lowercase());
        Ok((lower(first), other.map(lower)))
    };
    let operator = match name {
        "REQ" => header(argument).map(|(first, other)| Operator::RequestHeader(first, other))?,
        "RESP" => header(argument).map(|(first, other)| Operator::ResponseHeader(first, other))?,
        // START_TIME takes a strftime format in Envoy; RFC 3339 is the only one here.
        _ => return Err(unknown()),
    };
    Ok(Part::Value(operator, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Values for Fixed {
        fn value(&self, operator: &Operator) -> Option<Cow<'_, str>> {
            match operator {
                Operator::RequestHeader(name, _) if &**name == "x-user" => Some("ada".into()),
                Operator::RequestHeader(_, Some(other)) if &**other == "x-user" => {
                    Some("other".into())
                }
                Operator::Field(Field::Protocol) => Some("HTTP/1.1".into()),
                _ => None,
            }
        }
    }

    fn render(text: &str) -> Option<String> {
        Template::parse(text).expect("valid").render(&Fixed)
    }

    #[test]
    fn operators_are_replaced() {
        assert_eq!(render("plain").as_deref(), Some("plain"));
        assert_eq!(render("100%%").as_deref(), Some("100%"));
        assert_eq!(render("u=%REQ(X-User)%;").as_deref(), Some("u=ada;"));
        assert_eq!(render("%REQ(X-User):2%").as_deref(), Some("ad"));
        assert_eq!(render("%REQ(missing?x-user)%").as_deref(), Some("other"));
        assert_eq!(render("%PROTOCOL%").as_deref(), Some("HTTP/1.1"));
        assert_eq!(render("%REQ(missing)%"), None);
        assert_eq!(render("").as_deref(), Some(""));
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(Template::parse("50%"), Err(TemplateError::Unbalanced));
        assert_eq!(Template::parse("%NOPE%"), Err(TemplateError::UnknownOperator("NOPE".into())));
        assert_eq!(Template::parse("%REQ()%"), Err(TemplateError::Argument("REQ()".into())));
        assert_eq!(Template::parse("a\r\nb"), Err(TemplateError::ControlCharacter));
    }
}
