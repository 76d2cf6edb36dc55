//! What differs between the forms of each kind, as data; what it takes more than data for stands
//! in the modules beside this one.

/// How one kind is converted. A kind that differs in `ambassador_id` only has nothing here.
#[derive(Debug, PartialEq, Eq)]
pub struct ConvertedKind {
    /// The kind, such as `Mapping`.
    pub name: &'static str,
    /// Its name in addresses, such as `mappings`.
    pub plural: &'static str,
    /// Whether there is a v1 of it.
    pub has_v1: bool,
    /// Fields of other names: v2's path and v3alpha1's, in the same parent.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Fields that are a list in v3alpha1 and may be a single text in v2.
    pub lists: &'static [&'static str],
    /// Where it says how its upstream is spoken to.
    pub tls: Option<TlsField>,
}

/// The field that names the upstream, beside `tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsField {
    /// A field of this name, which may begin with a scheme.
    Http(&'static str),
    /// A field of this name, whose scheme has no meaning in v2.
    Tcp(&'static str),
}

const STATS_NAME: (&str, &str) = ("v3StatsName", "stats_name");

const fn plain(name: &'static str, plural: &'static str) -> ConvertedKind {
    ConvertedKind { name, plural, has_v1: true, renamed: &[], lists: &[], tls: None }
}

/// The kinds that have older versions. Listener has none.
const KINDS: &[ConvertedKind] = &[
    ConvertedKind {
        renamed: &[STATS_NAME, ("v3CircuitBreakers", "circuit_breakers")],
        tls: Some(TlsField::Http("auth_service")),
        ..plain("AuthService", "authservices")
    },
    plain("ConsulResolver", "consulresolvers"),
    plain("DevPortal", "devportals"),
    ConvertedKind {
        has_v1: false,
        renamed: &[("selector", "mappingSelector"), ("tls.v3CRLSecret", "tls.crl_secret")],
        ..plain("Host", "hosts")
    },
    plain("KubernetesEndpointResolver", "kubernetesendpointresolvers"),
    plain("KubernetesServiceResolver", "kubernetesserviceresolvers"),
    ConvertedKind {
        renamed: &[STATS_NAME, ("v3ProtocolVersion", "protocol_version")],
        ..plain("LogService", "logservices")
    },
    ConvertedKind {
        renamed: &[STATS_NAME, ("v3health_checks", "health_checks")],
        lists: &[
            "remove_request_headers",
            "remove_response_headers",
            "cors.methods",
            "cors.headers",
            "cors.exposed_headers",
        ],
        tls: Some(TlsField::Http("service")),
        ..plain("Mapping", "mappings")
    },
    plain("Module", "modules"),
    ConvertedKind {
        renamed: &[STATS_NAME, ("v3GRPC", "grpc")],
        tls: Some(TlsField::Http("service")),
        ..plain("RateLimitService", "ratelimitservices")
    },
    ConvertedKind {
        renamed: &[STATS_NAME],
        tls: Some(TlsField::Tcp("service")),
        ..plain("TCPMapping", "tcpmappings")
    },
    ConvertedKind {
        renamed: &[("v3CRLSecret", "crl_secret")],
        ..plain("TLSContext", "tlscontexts")
    },
    ConvertedKind {
        renamed: &[
            STATS_NAME,
            ("v3CustomTags", "custom_tags"),
            ("config.v3PropagationModes", "config.propagation_modes"),
        ],
        ..plain("TracingService", "tracingservices")
    },
];

impl ConvertedKind {
    /// The kinds that have older versions, by their names.
    pub const ALL: &'static [Self] = KINDS;

    /// The name of its definition, such as `mappings.getambassador.io`.
    pub fn definition(&self) -> String {
        format!("{}.{}", self.plural, super::GROUP)
    }
}

/// How a kind is converted; `None` if it has no older versions.
pub fn of_kind(name: &str) -> Option<&'static ConvertedKind> {
    KINDS.iter().find(|kind| kind.name == name)
}
