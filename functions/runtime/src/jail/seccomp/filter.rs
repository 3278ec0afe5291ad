//! The filter itself.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

/// Reads the page map for clearing pages: `ioctl(PAGEMAP_SCAN)` on a file that the engine has open.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[c_long] = &[
    // Memory. Code that is loaded later has to become executable.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    // Signals, with which traps of guests arrive.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    // Sockets and memory that are open already, and messages to the log.
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_getrandom,
    // One more filter can only forbid more.
    libc::SYS_seccomp,
];

#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[c_long] = &[libc::SYS_poll];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[c_long] = &[];
#[cfg(target_arch = "riscv64")]
const ALLOWED_HERE: &[c_long] = &[259]; // riscv_flush_icache, which libc has no name for

/// Installs the filter, and says how many calls it allows.
///
/// # Errors
/// What the kernel says.
pub(super) fn install() -> Result<usize, Error> {
    let allowed = allowed()?;
    let calls = allowed.len();
    let (deny, allow) = (SeccompAction::Errno(errno(libc::EPERM)), SeccompAction::Allow);
    apply_filter(&program(allowed, deny, allow)?)?;
    // Its flags lie in memory, where a filter cannot see them. The C library takes `clone` when it hears that there is no such
    // call; of two filters that refuse, the newer one has the say.
    let newer = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompAction::Errno(errno(libc::ENOSYS));
    apply_filter(&program(newer, SeccompAction::Allow, absent)?)?;
    Ok(calls)
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn allowed() -> Result<Rules, BackendError> {
    let plain = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new()));
    let mut rules: Rules = plain.collect();
    // Threads, which have no namespaces of their own; no processes.
    rules.insert(libc::SYS_clone, vec![masked(0, value(libc::CLONE_THREAD))?]);
    let descriptor = [libc::F_ADD_SEALS, libc::F_GET_SEALS, libc::F_DUPFD_CLOEXEC, libc::F_GETFD]
        .map(|command| is(1, value(command)));
    rules.insert(libc::SYS_fcntl, descriptor.into_iter().collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_ioctl, vec![is(1, PAGEMAP_SCAN)?]);
    let names = [libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS, libc::PR_SET_SECCOMP];
    let names = names.map(|option| is(0, value(option)));
    rules.insert(libc::SYS_prctl, names.into_iter().collect::<Result<_, _>>()?);
    // To abort: only this process.
    let me = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![is(0, me)?]);
    Ok(rules)
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, listed, architecture)?.try_into()
}

fn is(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    let length = SeccompCmpArgLen::Dword;
    let condition = SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value)?;
    SeccompRule::new(vec![condition])
}

/// All bits of `mask` are set.
fn masked(argument: u8, mask: u64) -> Result<SeccompRule, BackendError> {
    let operation = SeccompCmpOp::MaskedEq(mask);
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, mask)?;
    SeccompRule::new(vec![condition])
}

fn value(constant: c_int) -> u64 {
    u64::from(constant.cast_unsigned())
}

fn errno(constant: c_int) -> u32 {
    constant.cast_unsigned()
}
