//! Sessions of this machine alone over mutual TLS: whether this program makes and refuses links as a fleet with certificates does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use secure::identity::Paths;
use zenoh::Config as Settings;
use zenoh::query::{Query, Queryable};

use super::{BusError, settings};

/// What is asked.
const KEY: &str = "selftest/ping";
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// One end of a link. The session ends with the process, see [`super::Fleet::leave`].
pub(crate) struct End {
    session: std::mem::ManuallyDrop<zenoh::Session>,
    /// Kept as long as the end answers.
    _answers: Option<Queryable<()>>,
}

impl End {
    /// Listens, and answers who has a certificate of the authority.
    ///
    /// # Errors
    /// [`BusError`] when the address or a file cannot be used.
    pub(crate) async fn listen(at: SocketAddr, identity: &Paths) -> Result<Self, BusError> {
        let mut settings = secured(identity)?;
        settings::set(&mut settings, "mode", "\"router\"")?;
        settings::set(&mut settings, "listen/endpoints", &endpoints(at))?;
        let session = zenoh::open(settings).await.map_err(BusError::of("listening"))?;
        let answer = |query: Query| {
            use zenoh::Wait as _;
            if let Err(error) = query.reply(KEY, "").wait() {
                tracing::debug!(%error, "answer was not sent");
            }
        };
        let answers = session.declare_queryable(KEY).callback(answer).await;
        let answers = answers.map_err(BusError::of(KEY))?;
        Ok(Self { session: std::mem::ManuallyDrop::new(session), _answers: Some(answers) })
    }

    /// Dials once, and is there once the other end has agreed.
    ///
    /// # Errors
    /// [`BusError`] when either end refuses the other.
    pub(crate) async fn dial(at: SocketAddr, identity: &Paths) -> Result<Self, BusError> {
        let mut settings = secured(identity)?;
        settings::set(&mut settings, "mode", "\"client\"")?;
        settings::set(&mut settings, "connect/endpoints", &endpoints(at))?;
        settings::set(&mut settings, "connect/timeout_ms", "0")?;
        settings::set(&mut settings, "connect/exit_on_failure", "true")?;
        let session = zenoh::open(settings).await.map_err(BusError::of("dialling"))?;
        Ok(Self { session: std::mem::ManuallyDrop::new(session), _answers: None })
    }

    /// Measures a round trip; `None` if no answer comes.
    pub(crate) async fn ask(&self) -> Option<Duration> {
        let sent = Instant::now();
        let answers = self.session.get(KEY).timeout(ANSWER_TIMEOUT).await.ok()?;
        let answer = answers.recv_async().await.ok()?;
        answer.result().is_ok().then(|| sent.elapsed())
    }
}

/// Every link with certificates on both sides, as in a fleet.
fn secured(identity: &Paths) -> Result<Settings, BusError> {
    let mut settings = settings::common(None)?;
    secure::settings::identify(&mut settings, identity).map_err(BusError::of("identity"))?;
    Ok(settings)
}

fn endpoints(at: SocketAddr) -> String {
    format!("[\"tls/{at}\"]")
}
