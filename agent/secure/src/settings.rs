//! The settings of a session that has an identity: TLS on every link, both ends with certificates, and access rules.

use protocol::Message as _;
use protocol::access::{Act, Flow, Policy, report_keys};
use protocol::report::Report;
use serde_json::{Value, json};
use types::FleetId;
use zenoh::Config;

use crate::identity::Paths;

/// Makes every link of the session a TLS one, with certificates on both sides that end with their time.
///
/// # Errors
/// Zenoh's, when the paths cannot be used.
pub fn identify(settings: &mut Config, paths: &Paths) -> zenoh::Result<()> {
    settings.insert_json5("transport/link/protocols", r#"["tls"]"#)?;
    let tls = json!({
        "root_ca_certificate": paths.authority,
        "listen_private_key": paths.key,
        "listen_certificate": paths.certificate,
        "connect_private_key": paths.key,
        "connect_certificate": paths.certificate,
        "enable_mtls": true,
        "verify_name_on_connect": true,
        "close_link_on_expiration": true,
    });
    settings.insert_json5("transport/link/tls", &tls.to_string())
}

/// Denies what no policy allows, and drops what is longer than a report where reports come in.
///
/// # Errors
/// Zenoh's, when the rules cannot be used.
pub fn restrict(settings: &mut Config, fleet: &FleetId, policies: &[Policy]) -> zenoh::Result<()> {
    settings.insert_json5("access_control", &rules_of(policies).to_string())?;
    let filter = json!([{
        "id": "reports",
        "flows": ["ingress"],
        "messages": ["put"],
        "key_exprs": [report_keys(fleet)],
        "size_limit": Report::BYTES_MAX,
    }]);
    settings.insert_json5("low_pass_filter", &filter.to_string())
}

fn rules_of(policies: &[Policy]) -> Value {
    let (mut rules, mut subjects, mut bound) = (Vec::new(), Vec::new(), Vec::new());
    for policy in policies {
        let name = policy.subject.as_str();
        let mut ids = Vec::new();
        for (nth, rule) in policy.rules.iter().enumerate() {
            let id = format!("{name} {nth}");
            let messages: Vec<&str> = rule.acts.iter().map(|act| message(*act)).collect();
            rules.push(json!({
                "id": id,
                "permission": "allow",
                "flows": [match rule.flow { Flow::In => "ingress", Flow::Out => "egress" }],
                "messages": messages,
                "key_exprs": rule.keys,
            }));
            ids.push(id);
        }
        subjects.push(json!({ "id": name, "cert_common_names": [name] }));
        bound.push(json!({ "rules": ids, "subjects": [name] }));
    }
    json!({
        "enabled": true,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": bound,
    })
}

const fn message(act: Act) -> &'static str {
    match act {
        Act::Put => "put",
        Act::Delete => "delete",
        Act::DeclareSubscriber => "declare_subscriber",
        Act::Query => "query",
        Act::Reply => "reply",
        Act::DeclareQueryable => "declare_queryable",
        Act::Token => "liveliness_token",
        Act::TokenQuery => "liveliness_query",
        Act::TokenSubscriber => "declare_liveliness_subscriber",
    }
}
