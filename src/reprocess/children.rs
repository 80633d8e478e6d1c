//! The commands that run: waited for, and signalled when imgsieve is signalled.
//!
//! They stay in the process group of imgsieve, so that `sudo` can ask for a password, and a signal from the terminal
//! reaches them by the kernel. What another process sends to imgsieve alone is passed on.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Cause as Sender;
use signal_hook::low_level::signal_name;

use crate::run::{Control, Stop};

/// How often a command that is watched is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// The commands that run now.
#[derive(Default)]
pub struct Children {
    running: Mutex<Vec<Pid>>,
}

impl Children {
    fn running(&self) -> MutexGuard<'_, Vec<Pid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a command; none where the run is to end.
    pub fn start(&self, command: &mut Command, control: &Control) -> io::Result<Option<Child>> {
        let mut running = self.running();
        if control.is_stopped() {
            return Ok(None);
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        running.push(pid);
        // A signal that came before the command was there has not reached it.
        if let Some(signal) = control.cause().and_then(|stop| signal_of(&stop)) {
            let _ = kill_process(pid, signal);
        }
        Ok(Some(child))
    }

    /// Waits for the end of a command. `watch`, where there is one, is called again and again meanwhile.
    pub fn wait(&self, child: &mut Child, mut watch: Option<&mut dyn FnMut()>) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(child);
        // Not reaped yet, so that nobody signals another process of the same number.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let options = if watch.is_some() { options | WaitIdOptions::NOHANG } else { options };
        let outcome = loop {
            match waitid(WaitId::Pid(pid), options) {
                Ok(Some(_)) => break Ok(()),
                Ok(None) => std::thread::sleep(INTERVAL),
                Err(Errno::INTR) => {}
                Err(errno) => break Err(errno),
            }
            if let Some(watch) = &mut watch {
                watch();
            }
        };
        let mut running = self.running();
        running.retain(|known| *known != pid);
        outcome?;
        child.wait()
    }

    /// Signals all commands; gives those that could not be.
    fn signal_all(&self, signal: Signal) -> Vec<(Pid, Errno)> {
        let running = self.running();
        let failure = |&pid: &Pid| match kill_process(pid, signal) {
            // It is about to be reaped.
            Ok(()) | Err(Errno::SRCH) => None,
            Err(errno) => Some((pid, errno)),
        };
        running.iter().filter_map(failure).collect()
    }
}

fn signal_of(stop: &Stop) -> Option<Signal> {
    match stop {
        Stop::Signal(number) => named(*number),
        _ => None,
    }
}

fn named(number: i32) -> Option<Signal> {
    match number {
        SIGHUP => Some(Signal::HUP),
        SIGINT => Some(Signal::INT),
        SIGTERM => Some(Signal::TERM),
        _ => None,
    }
}

/// Signals to imgsieve, passed on.
pub struct Relay {
    signals: SignalsInfo<WithOrigin>,
}

impl Relay {
    /// Listens from now on.
    pub fn new() -> io::Result<Relay> {
        Ok(Relay { signals: SignalsInfo::<WithOrigin>::new([SIGHUP, SIGINT, SIGTERM])? })
    }

    /// Ends [`Relay::run`] when it is closed.
    pub fn handle(&self) -> Handle {
        self.signals.handle()
    }

    /// Passes signals on until the handle is closed, and reports what it does in a sentence each.
    pub fn run(mut self, children: &Children, tell: &dyn Fn(&str)) {
        for origin in self.signals.forever() {
            let (Some(signal), Some(name)) = (named(origin.signal), signal_name(origin.signal)) else { continue };
            let count = children.running().len();
            if count == 0 {
                continue;
            }
            // From the terminal, the kernel sends it to the whole process group.
            let is_passed_on = origin.cause != Sender::Kernel;
            let failures = if is_passed_on { children.signal_all(signal) } else { Vec::new() };
            for (pid, errno) in &failures {
                let pid = pid.as_raw_pid();
                tell(&format!(
                    "{name} cannot be passed on to the command, process {pid}: {errno}; to end it now, run \
                     `sudo kill -{} {pid}`",
                    name.trim_start_matches("SIG")
                ));
            }
            let done = if is_passed_on && failures.len() < count { ", which was passed on" } else { "" };
            tell(&format!(
                "{name}{done}: waiting for the command to end; a second signal ends imgsieve at once and leaves the \
                 command running"
            ));
        }
    }
}
