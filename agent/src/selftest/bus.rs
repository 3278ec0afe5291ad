//! The bus: two sessions of the fleet on this machine, one of which dials the other and asks it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use secure::identity::Paths;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use types::BootId;

use super::certificates::Authority;
use super::{Outcome, Scratch};
use crate::config::Config;
use crate::shell::zenoh::Fleet;
use crate::shell::zenoh::loopback::End;

/// How long the sessions may take to find each other.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries of a round trip; each waits for itself, and ends at once while there is no link.
const PAUSE: Duration = Duration::from_millis(50);
/// Questions that may wait.
const QUESTIONS_MAX: usize = 4;

/// Makes both sessions and measures a round trip.
pub(super) fn test(scratch: &Scratch) -> Outcome {
    both(scratch).into()
}

/// The same with certificates on both sides; who has one of another authority is refused.
pub(super) fn with_certificates(scratch: &Scratch) -> Outcome {
    secured(scratch).into()
}

fn secured(scratch: &Scratch) -> Result<String, String> {
    let dir = &scratch.dir;
    let (ours, other) = (Authority::new(dir, "authority")?, Authority::new(dir, "other")?);
    let ends = [
        ours.end(dir, "tls-listening", &ours.file)?,
        ours.end(dir, "tls-dialling", &ours.file)?,
        // It trusts who it dials, and would be let in if only that counted.
        other.end(dir, "tls-stranger", &ours.file)?,
    ];
    let address = free_address().map_err(|error| error.to_string())?;
    let runtime = reactor()?;
    let tried = async { tokio::time::timeout(PATIENCE, mutual(address, &ends)).await };
    let rtt = runtime.block_on(tried);
    runtime.shutdown_background();
    let rtt = rtt.map_err(|_elapsed| format!("not over within {} s", PATIENCE.as_secs()))?;
    Ok(format!("tls/{address}, round trip {} µs; a stranger is refused", rtt?.as_micros()))
}

async fn mutual(
    address: SocketAddr,
    [listening, dialling, stranger]: &[Paths; 3],
) -> Result<Duration, String> {
    let listener = End::listen(address, listening).await.map_err(|error| error.to_string())?;
    let member = End::dial(address, dialling).await.map_err(|error| error.to_string())?;
    let rtt = member.ask().await.ok_or("a member asked and was not answered")?;
    if let Ok(stranger) = End::dial(address, stranger).await
        && stranger.ask().await.is_some()
    {
        return Err("a certificate of another authority was let in".to_owned());
    }
    // It lives until here, or a stranger would find nobody instead of being refused.
    match End::dial(address, dialling).await {
        Ok(again) if again.ask().await.is_some() => {}
        _ => return Err("a member was not let in again".to_owned()),
    }
    drop(listener);
    Ok(rtt)
}

fn both(scratch: &Scratch) -> Result<String, String> {
    let address = free_address().map_err(|error| error.to_string())?;
    let endpoint = format!("\"tcp/{address}\"");
    let listening = scratch.config("listening", (&endpoint, ""))?;
    let dialling = scratch.config("dialling", ("", &endpoint))?;
    let runtime = reactor()?;
    let rtt = runtime.block_on(round_trip(&listening, &dialling));
    runtime.shutdown_background();
    Ok(format!("two sessions over tcp/{address}, round trip {} µs", rtt?.as_micros()))
}

async fn round_trip(listening: &Config, dialling: &Config) -> Result<Duration, String> {
    let open = async |config| {
        Fleet::open(config, None, Arc::new(AtomicU64::new(0)))
            .await
            .map_err(|error| error.to_string())
    };
    let (here, there) = (open(dialling).await?, open(listening).await?);
    // Kept until the end, or the other would find nobody who takes questions.
    let (questions, _taken) = mpsc::channel(QUESTIONS_MAX);
    there.serve(BootId(1), questions).await.map_err(|error| error.to_string())?;
    let asked = async {
        loop {
            if let Some(rtt) = here.ping(&listening.node).await {
                return rtt;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let rtt = tokio::time::timeout(PATIENCE, asked).await;
    here.leave();
    there.leave();
    rtt.map_err(|_elapsed| format!("no answer within {} s", PATIENCE.as_secs()))
}

fn reactor() -> Result<Runtime, String> {
    let mut reactor = tokio::runtime::Builder::new_multi_thread();
    reactor.worker_threads(2).enable_all().build().map_err(|error| error.to_string())
}

/// An address that nobody listens on. Somebody may take it in between; then the session says so.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
