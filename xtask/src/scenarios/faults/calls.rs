//! Hypercalls that answer errors, once or for ever.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use gunyah_abi::Error;

use super::super::{Lab, PROMPT};
use super::is_well;

/// Every code there is, those that the hypervisor has for itself included.
const CODES: [i64; 38] = [
    -1, -2, 1, 2, 3, 10, 11, 20, 21, 22, 30, 31, 32, 33, 34, 35, 36, 40, 41, 50, 51, 52, 53, 54,
    60, 61, 90, 91, 92, 93, 94, 100, 101, 110, 111, 120, 121, 200,
];

pub fn bell_errors(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for code in CODES {
        let _ = write!(
            script,
            "hypercall doorbell_receive {code}\nburst 3 0x1 1\nexpect bells 1 within 60000\n\
             hypercall doorbell_send {code}\nburst 3 0x1 1\nwait ms 100\nburst 3 0x1 1\n\
             expect bells 1 within 60000\n"
        );
    }
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[("log", &["DOORBELL_SEND (0x12) on doorbell"])])?;
    is_well(billy)
}

pub fn queue_errors(lab: &Lab) -> Result<()> {
    // Whether RM's queue or the peer's is hit, is left to chance; both must go on.
    let mut script = String::new();
    for code in CODES {
        let _ = write!(
            script,
            "hypercall msgqueue_receive {code}\nburst 3 0x1 1\nsend 2 one\nwait ms 50\n\
             hypercall msgqueue_send {code}\nsend 2 two\nwait ms 50\n\
             type \"uptime\\r\"\nexpect console \"up 0\" within 60000\n"
        );
    }
    script += "hypercall msgqueue_receive off\nhypercall msgqueue_send off\nwait ms 12000\n";
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[("rm stats", &["requests"]), ("count 300", &["300"])])?;
    // Called again at once, or taken for an empty or a full queue: these are no errors.
    let quiet = [Error::Retry, Error::Busy, Error::MsgqueueEmpty, Error::MsgqueueFull];
    let loud = CODES.iter().filter(|code| !quiet.iter().any(|error| error.code() == **code));
    let wanted = 2 * loud.count() as u64;
    let mut errors = 0;
    for line in ["rm stats", "msgq stats"] {
        for direction in ["  out ", "  in "] {
            errors += billy.count(line, direction, "errors ")?;
        }
    }
    ensure!(errors == wanted, billy.failure(&format!("{errors} errors, not {wanted}")));
    let answers = billy.count("msgq stats", "  out ", "errors ")?;
    let named = billy.ask("log", PROMPT)?.matches("MSGQUEUE_SEND (0x1b) on message queue").count();
    ensure!(
        named > 0 && named as u64 == answers,
        billy.failure(&format!("{answers} answers were refused, of which the log names {named}"))
    );
    is_well(billy)
}

pub fn mask_errors(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for code in CODES {
        let _ = write!(
            script,
            "hypercall doorbell_mask {code}\nadd ring 9 16384\nexpect accepted 9 within 30000\n\
             attach 9\nexpect attached 9 within 30000\nrequest 9 echo 1 text=tame\n\
             expect reply 9 echo 1 text=tame within 30000\ndetach 9\nremove ring 9\n\
             status 3 RUNNING RUN\nexpect released 9 within 30000\n\
             reclaim 9\n"
        );
    }
    let mut billy = lab.played(&script)?;
    for code in CODES {
        billy.expect("DOORBELL_MASK (0x15) on doorbell ")?;
        let error = Error::from_code(code).context("a code of success")?;
        billy.expect(&format!("failed: {error}"))?;
    }
    billy.expect(PROMPT)?;
    is_well(billy)
}

pub fn lasting_error(lab: &Lab) -> Result<()> {
    // The console comes back when the calls do.
    let script = "expect console \"billy> \" within 60000\n\
                  hypercall msgqueue_send 30 every\ntype \"uptime\\r\"\n\
                  wait ms 2000\nring 3 0x1 10\nexpect bells 10\n\
                  wait ms 15000\nhypercall msgqueue_send off\n\
                  expect console \"billy> \" within 60000\n\
                  hypercall msgqueue_receive 30 every\nwait ms 4000\n\
                  hypercall msgqueue_receive off\nwait ms 4000\n\
                  type \"\\ruptime\\r\"\nexpect console \"up 0\" within 60000\nlog played\n";
    let mut billy = lab.scripted(script)?;
    billy.wait_for_log("played")?;
    billy.expect("up 0")?;
    billy.expect(PROMPT)?;
    let refused: &[&str] = &[
        "CONSOLE_OPEN (target 0) could not be sent to RM: MSGQUEUE_SEND (0x1b) on message queue",
        "rm: error: MSGQUEUE_RECEIVE (0x1c) on message queue",
        "failed: DENIED (30)",
    ];
    billy.shows("log", refused)?;
    for direction in ["  out ", "  in "] {
        let errors = billy.count("rm stats", direction, "errors ")?;
        ensure!(errors >= 10, billy.failure(&format!("{errors} errors in `{direction}`")));
    }
    is_well(billy)
}
