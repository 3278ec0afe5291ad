//! `starbelt provision`, `starbelt join`, `starbelt renew`, `starbelt node token`, `starbelt node revoke`, `starbelt node members`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use protocol::join::Role;
use secure::client::{self, ClientError, hex};
use secure::hand::{self, TokenError};
use secure::identity::{Identity, IdentityError};
use types::{Epoch, FleetId, NodeId};

use super::client::{Answer, Client};
use super::output::{UNKNOWN, table};
use super::{CliError, Format, Printed};
use crate::api::{MemberInfo, MemberList, TokenInfo, TokenRequest};
use crate::authority::{AuthorityError, provision};
use crate::exit_code;
use crate::shell::keeper::now_s;

/// Where somebody joins, and where what that brings is kept.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The folder of key and certificate.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where members join: identity.join of the controller's configuration.
    #[arg(long = "at", value_name = "https://HOST:PORT")]
    url: String,
}

/// Joins as who the token names.
#[derive(Debug, Args)]
pub(super) struct Join {
    #[command(flatten)]
    place: Place,
    /// A file with the token; without it, the variable STARBELT_JOIN_TOKEN, or stdin. Never an argument: others see those.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For how long a controller that does not answer is tried again, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    patience: u64,
}

/// Gets the first certificate of a viewer or of the emulation's bridge; agents have a verb of their own.
pub(super) fn join(format: Format, asked: &Join) -> Result<Printed, CliError> {
    let token = hand::token(asked.token_file.as_deref()).map_err(|error| no_token(&error))?;
    let (Place { dir, url }, patience) = (&asked.place, Duration::from_secs(asked.patience));
    let joined = hand::join(dir, url, &token, patience).map_err(|error| refused(&error))?;
    Ok(told(format, &joined))
}

/// Gets the next certificate with the one before, while that counts.
pub(super) fn renew(format: Format, place: &Place) -> Result<Printed, CliError> {
    let failed = |error: ClientError| refused(&error);
    let mut identity = Identity::load(&place.dir).map_err(|error| failed(error.into()))?;
    client::renew(&mut identity, &place.url).map_err(failed)?;
    Ok(told(format, &identity))
}

/// Why there is no token.
pub(super) fn no_token(error: &TokenError) -> CliError {
    let code = match error {
        TokenError::Invalid(_) => exit_code::DENIED,
        TokenError::None | TokenError::Unreadable { .. } => exit_code::FAILURE,
    };
    CliError::new(code, error.to_string())
}

fn refused(error: &ClientError) -> CliError {
    let code = match error {
        ClientError::Unreachable { .. } => exit_code::UNREACHABLE,
        ClientError::Refused { .. } | ClientError::OtherAuthority { .. } => exit_code::DENIED,
        ClientError::Identity(IdentityError::Exists { .. }) => exit_code::CONFLICT,
        ClientError::Address { .. } => exit_code::USAGE,
        ClientError::Answer { .. } | ClientError::Identity(_) => exit_code::FAILURE,
    };
    CliError::new(code, error.to_string())
}

fn told(format: Format, identity: &Identity) -> Printed {
    let (name, until) = (&identity.facts.name, Epoch::from_unix_s(identity.facts.not_after_s));
    let certificate = &identity.paths.certificate;
    match format {
        Format::Json => {
            let kept = serde_json::json!({
                "name": name, "certificate": certificate, "certificate_until": until,
            });
            format!("{kept}\n").into()
        }
        Format::Table => {
            let until = until.map_or_else(|| UNKNOWN.to_owned(), |until| format!("{until:.0}"));
            let certificate = certificate.display();
            format!("name         {name}\ncertificate  {certificate}\nuntil        {until}\n")
                .into()
        }
    }
}

/// Makes the fleet's authority on this machine; asks no controller.
pub(super) fn new(format: Format, fleet: &FleetId, dir: &Path) -> Result<Printed, CliError> {
    let authority = provision(dir, fleet, now_s()).map_err(|error| {
        let code = match &error {
            AuthorityError::Exists { .. } => exit_code::CONFLICT,
            AuthorityError::Files(_) | AuthorityError::Disk { .. } | AuthorityError::Sign(_) => {
                exit_code::FAILURE
            }
        };
        CliError::new(code, error.to_string())
    })?;
    let (key, hash) = (dir.join("ca.key"), hex(&authority.hash()));
    Ok(match format {
        Format::Json => {
            let made = serde_json::json!({ "fleet": fleet, "dir": dir, "authority": hash });
            format!("{made}\n").into()
        }
        Format::Table => format!(
            "fleet       {fleet}\nauthority   {hash}\nsecret      {key}\n\
             next        authority = {dir:?} below [identity] of the controller's configuration,\n            \
             and a copy of the folder at a safe place: without it nobody joins or renews\n",
            key = key.display(),
        )
        .into(),
    })
}

/// Asks the controller for a token.
pub(super) fn new_token(
    client: &Client,
    name: &NodeId,
    (addresses, good_for_s): (&[String], u32),
) -> Result<Answer<TokenInfo>, CliError> {
    let request = TokenRequest { addresses: addresses.to_vec(), good_for_s };
    let body = serde_json::to_vec(&request)
        .map_err(|error| CliError::new(exit_code::FAILURE, error.to_string()))?;
    client.post::<TokenInfo>(&format!("/members/{name}/token"), "application/json", &body)
}

/// Lets a machine in once.
pub(super) fn token(
    client: &Client,
    format: Format,
    name: &NodeId,
    asked: (&[String], u32),
) -> Result<Printed, CliError> {
    let answer = new_token(client, name, asked)?;
    if format == Format::Table {
        super::warn(&format!(
            "good for one certificate until {:.0}; on the machine: starbelt-agent join --controller https://HOST:PORT, with the token on stdin",
            answer.value.expires
        ));
    }
    // On stdout is the token alone, to be piped.
    Ok(answer.print(format, |token| format!("{}\n", token.token)))
}

/// Never lets a member in again.
pub(super) fn revoke(client: &Client, format: Format, name: &NodeId) -> Result<Printed, CliError> {
    let path = format!("/members/{name}/revoke");
    let answer = client.post::<MemberInfo>(&path, "application/json", &[])?;
    Ok(answer.print(format, |member| table(HEADER, &[row(member)])))
}

pub(super) fn list(client: &Client, format: Format) -> Result<Printed, CliError> {
    let answer = client.get::<MemberList>("/members", &[])?;
    Ok(answer.print(format, |list| {
        let rows: Vec<[String; 4]> = list.members.iter().map(row).collect();
        table(HEADER, &rows)
    }))
}

const HEADER: [&str; 4] = ["NAME", "ROLE", "STATE", "CERTIFICATE UNTIL"];

fn row(member: &MemberInfo) -> [String; 4] {
    let state = match (member.revoked, member.certificate_until) {
        (true, _) => "revoked",
        (false, Some(_)) => "joined",
        // It signs its own certificate at each start.
        (false, None) if member.role == Role::Controller => "itself",
        (false, None) => "not joined",
    };
    let until = member.certificate_until.map(|until| format!("{until:.0}"));
    [
        member.name.to_string(),
        format!("{:?}", member.role).to_lowercase(),
        state.to_owned(),
        until.unwrap_or_else(|| UNKNOWN.to_owned()),
    ]
}
