//! Who takes part: `--policy`, `--program` and `--compare`.

use std::time::Duration;

use placement::policy::catalog;

use super::ALL;
use crate::cli::CommandError;
use crate::offline::place::entrant::Entrant;
use crate::offline::place::program::spec::PATIENCE;
use crate::offline::place::program::{Program, child};

/// Exit codes of a run that was ended by SIGINT, by SIGTERM and by SIGHUP: 128 + the signal, as shells have it.
const ENDED: [i32; 3] = [130, 143, 129];

/// Who takes part.
#[derive(Clone, Debug, clap::Args)]
pub struct EntrantArgs {
    /// Who decides; `all` compares (hyperdrive-v2)
    #[arg(long, value_name = "NAME", required_unless_present_any = ["compare", "program"],
        value_parser = clap::builder::PossibleValuesParser::new(catalog::NAMES.into_iter().chain([ALL])))]
    pub policy: Option<String>,
    /// A policy of your own: a program in any language that is asked on its standard input and answers on its standard output (docs/guide-policies.md); decides instead of --policy, or is compared with all others, then as often as you like
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Program::parse)]
    pub program: Vec<Program>,
    /// For how long a program may think about one question, seconds
    #[arg(long, value_name = "S", default_value_t = PATIENCE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub program_timeout: u64,
}

/// Who takes part, as it was asked for.
#[derive(Clone, Debug)]
pub(super) enum Entrants {
    /// One alone.
    One(Entrant),
    /// All are compared.
    All(Vec<Entrant>),
}

impl EntrantArgs {
    /// Who takes part. Programs end with this process from then on.
    ///
    /// # Errors
    /// [`CommandError::Input`] for what does not fit together.
    pub(super) fn entrants(&self, compares: bool) -> Result<Entrants, CommandError> {
        let programs = self.programs()?;
        if !programs.is_empty() {
            end_with_us();
        }
        let policy = self.policy.as_deref();
        if compares || policy == Some(ALL) {
            return Ok(Entrants::All(Entrant::built_in().into_iter().chain(programs).collect()));
        }
        let refused = |what: String| Err(CommandError::Input(what));
        match (policy, programs.as_slice()) {
            (Some(name), []) => Ok(Entrants::One(Entrant::BuiltIn(name.to_owned()))),
            (None, [program]) => Ok(Entrants::One(program.clone())),
            (Some(name), [program, ..]) => {
                let both = format!("--policy {name} and --program {}", program.name());
                refused(format!("{both}: one decides in a run; --compare compares them"))
            }
            (None, programs) => {
                let names: Vec<_> = programs.iter().map(Entrant::name).collect();
                let all = names.join(", ");
                refused(format!("--program {all}: one decides in a run; --compare compares them"))
            }
        }
    }

    fn programs(&self) -> Result<Vec<Entrant>, CommandError> {
        let patience = Duration::from_secs(self.program_timeout);
        for (at, program) in self.program.iter().enumerate() {
            let name = program.name();
            if self.program[..at].iter().any(|before| before.name() == name) {
                let rule = "each needs a name of its own";
                return Err(CommandError::Input(format!(
                    "--program {name} is given twice: {rule}"
                )));
            }
        }
        let patient = |program: &Program| Entrant::Program(program.clone().with_patience(patience));
        Ok(self.program.iter().map(patient).collect())
    }
}

/// Has Ctrl-C, SIGTERM and the end of the terminal kill all programs before they end this process.
fn end_with_us() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
    runtime.spawn(async move {
        let code = tokio::select! {
            _ = interrupt.recv() => ENDED[0],
            _ = terminate.recv() => ENDED[1],
            _ = hangup.recv() => ENDED[2],
        };
        child::kill_all();
        #[expect(clippy::exit, reason = "asked for; results are written whole at the end, or not")]
        std::process::exit(code);
    });
}
