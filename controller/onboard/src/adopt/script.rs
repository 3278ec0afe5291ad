//! The scripts that change a board. Each may run again after it was cut off anywhere.

use super::Layout;
use crate::shell::quote;

/// The name of the package and of its service.
pub const PACKAGE: &str = "starbelt-agent";
/// How often dpkg is tried while somebody else has its lock, once in two seconds: a board that was just started
/// upgrades itself.
const LOCK_TRIES: u32 = 60;
/// How long the agent asks a controller that does not answer, seconds.
const JOIN_PATIENCE_S: u32 = 60;
/// How many lines of the journal are shown.
const JOURNAL_LINES: u32 = 20;

/// Makes the folder for the package; one that another user has made there is not taken.
pub fn stage(staging: &str) -> String {
    let d = quote(staging);
    format!(
        "umask 077; mkdir {d} 2>/dev/null || {{ [ -d {d} ] && [ ! -L {d} ] && [ -O {d} ]; }} || {{ echo {} >&2; exit 1; }}",
        quote(&format!("{staging} is not ours: remove it"))
    )
}

/// Compares the package with what was sent, and says what it is.
pub fn check(staging: &str, sha256: &str) -> String {
    format!(
        "cd {} && mv -f package.deb.part package.deb 2>/dev/null; echo '{sha256}  package.deb' | sha256sum -c --status || {{ echo 'the package arrived broken' >&2; rm -f package.deb; exit 1; }}\n\
         dpkg-deb --field package.deb Package Version Architecture Installed-Size",
        quote(staging)
    )
}

/// Runs dpkg, again while somebody else has its lock.
fn dpkg(log: &str, arguments: &str) -> String {
    format!(
        "tries=0\nuntil DEBIAN_FRONTEND=noninteractive dpkg {arguments} >{log} 2>&1 </dev/null; do\n\
         tries=$((tries + 1))\n\
         if ! grep -q 'locked by another process' {log} || [ $tries -ge {LOCK_TRIES} ]; then tail -n 15 {log} >&2; exit 1; fi\n\
         sleep 2\ndone",
        log = quote(log)
    )
}

/// Installs the package.
pub fn install(staging: &str) -> String {
    let package = quote(&format!("{staging}/package.deb"));
    dpkg(&format!("{staging}/dpkg.log"), &format!("--force-confold --install {package}"))
}

/// Goes back to no package, or to the one of the last adoption.
pub fn uninstall(layout: &Layout, staging: &str, back_to: BackTo) -> String {
    let log = format!("{staging}/dpkg.log");
    let is_there = format!("dpkg-query -W {PACKAGE} >/dev/null 2>&1");
    match back_to {
        BackTo::Nothing => format!("if {is_there}; then\n{}\nfi", dpkg(&log, &format!("--purge {PACKAGE}"))),
        BackTo::NothingButFiles => {
            format!("if {is_there}; then\n{}\nfi", dpkg(&log, &format!("--remove {PACKAGE}")))
        }
        BackTo::Cached => {
            let package = quote(&format!("{}/adopted.deb", layout.cache));
            dpkg(&log, &format!("--force-confold --force-downgrade --install {package}"))
        }
        BackTo::Unknown => {
            "echo 'the package that was installed before is not kept on the board: the new one stays' >&2; exit 1".to_owned()
        }
    }
}

/// What a board had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackTo {
    /// Nothing of it at all.
    Nothing,
    /// No package, but a configuration or state that is not ours to remove.
    NothingButFiles,
    /// The package of the last adoption.
    Cached,
    /// A package that somebody else installed.
    Unknown,
}

/// Puts the configuration from stdin in place, if the agent finds it good; the old one is kept aside.
pub fn configure(layout: &Layout, staging: &str) -> String {
    let (old, new) = (quote(&layout.config), quote(&format!("{}.new", layout.config)));
    let (aside, kept) = (format!("{staging}/agent.toml"), quote(&format!("{staging}/before.toml")));
    let aside = quote(&aside);
    let folder = layout.config.rsplit_once('/').map_or("/", |(folder, _)| folder);
    format!(
        "set -e; umask 022; cat >{aside}; {PACKAGE} config check --config {aside} >&2; mkdir -p {}\n\
         if [ -f {old} ] && [ ! -f {kept} ]; then cp -p {old} {kept}; fi\n\
         cp {aside} {new}; chmod 0644 {new}; sync {new}; mv -f {new} {old}",
        quote(folder)
    )
}

/// Puts the old configuration back, or none where there was none.
pub fn unconfigure(layout: &Layout, staging: &str, had_config: bool) -> String {
    let (old, kept) = (quote(&layout.config), quote(&format!("{staging}/before.toml")));
    match had_config {
        true => format!("if [ -f {kept} ]; then cp -p {kept} {old}; fi"),
        false => format!("rm -f {old}"),
    }
}

/// Has the agent join, as its own user, with the token from stdin; an identity of another fleet goes aside first.
pub fn join(layout: &Layout, takes_over: bool) -> String {
    let (identity, aside) =
        (quote(&layout.identity), quote(&format!("{}.before", layout.identity)));
    let away = if takes_over {
        format!("if [ -d {identity} ] && [ ! -e {aside} ]; then mv {identity} {aside}; fi\n")
    } else {
        String::new()
    };
    format!(
        "set -e; install -d -o starbelt -g starbelt -m 0700 {}; cd /\n{away}\
         runuser -u starbelt -- {PACKAGE} join --config {} --patience {JOIN_PATIENCE_S}",
        quote(&layout.state),
        quote(&layout.config),
    )
}

/// Takes the identity back; that of another fleet returns.
pub fn unjoin(layout: &Layout, takes_over: bool) -> String {
    let (identity, aside) =
        (quote(&layout.identity), quote(&format!("{}.before", layout.identity)));
    match takes_over {
        true => format!("if [ -d {aside} ]; then rm -rf {identity}; mv {aside} {identity}; fi"),
        false => format!("rm -rf {identity}"),
    }
}

/// Starts the service and waits until the agent says that it serves. Whether it runs is asked besides: a unit whose conditions do not hold
/// is started without a word.
pub fn start() -> String {
    format!(
        "systemctl enable {PACKAGE} >/dev/null 2>&1; systemctl restart {PACKAGE} && systemctl is-active {PACKAGE} >/dev/null && systemctl show {PACKAGE} -p ActiveState -p StatusText"
    )
}

/// Says why the service is not up.
pub fn why() -> String {
    format!(
        "systemctl show {PACKAGE} -p ActiveState -p Result -p ExecMainStatus; journalctl -u {PACKAGE} -n {JOURNAL_LINES} --no-pager -o cat"
    )
}

/// Stops it again.
pub fn stop() -> String {
    format!("systemctl stop {PACKAGE} >/dev/null 2>&1 || true")
}

/// Keeps the package for the next adoption, and removes what is not needed any more.
pub fn keep(layout: &Layout, staging: &str) -> String {
    let (cache, new, old) = (
        quote(&layout.cache),
        quote(&format!("{}/adopted.deb.new", layout.cache)),
        quote(&format!("{}/adopted.deb", layout.cache)),
    );
    format!(
        "if [ -f {package} ]; then mkdir -p {cache} && cp {package} {new} && mv -f {new} {old} || {{ rm -f {new}; echo 'no room to keep the package: the next adoption cannot come back to it' >&2; }}; fi\n\
         rm -rf {aside} {staging}",
        package = quote(&format!("{staging}/package.deb")),
        aside = quote(&format!("{}.before", layout.identity)),
        staging = quote(staging),
    )
}

/// Removes the folder of the package; a service that ran before runs again.
pub fn unstage(staging: &str, was_active: bool) -> String {
    let again =
        if was_active { format!("systemctl restart {PACKAGE} || true; ") } else { String::new() };
    format!("{again}rm -rf {}", quote(staging))
}

/// Removes the agent, and unless `keeps_state` everything that it knows.
pub fn remove(layout: &Layout, keeps_state: bool) -> String {
    let log = format!("{}/starbelt-remove.log", layout.scratch);
    let verb = if keeps_state { "--remove" } else { "--purge" };
    let folder = layout.config.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let gone = if keeps_state {
        String::new()
    } else {
        format!(
            "rm -rf {} {} {} {}\nrmdir {} 2>/dev/null || true\n",
            quote(&layout.config),
            quote(&format!("{folder}/agent.d")),
            quote(&layout.state),
            quote(&layout.cache),
            quote(folder),
        )
    };
    format!(
        "if dpkg-query -W {PACKAGE} >/dev/null 2>&1; then\n{}\nfi\n{gone}rm -f {}",
        dpkg(&log, &format!("{verb} {PACKAGE}")),
        quote(&log)
    )
}
