//! The harness tried on small programs.

use super::*;

fn shell(script: &str) -> Machine {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Machine::spawn(command, None).unwrap()
}

#[test]
fn texts_are_matched_in_order() {
    let mut machine = shell("echo one; echo two; echo one");
    assert_eq!(machine.expect("one").unwrap(), "");
    assert_eq!(machine.expect("one").unwrap(), "\ntwo\n");
    let error = machine.expect("two").unwrap_err().to_string();
    assert!(error.starts_with("ended without printing [\"two\"]"), "{error}");
    assert!(error.contains("--- console\none\ntwo\none\n"), "{error}");
}

#[test]
fn a_text_may_arrive_in_pieces() {
    let mut machine = shell("printf 'bil'; sleep 0.1; printf 'ly> '; read line");
    machine.expect("billy> ").unwrap();
}

#[test]
fn the_first_of_several_texts_wins() {
    let mut machine = shell("echo b a");
    assert_eq!(machine.expect_any(&["a", "b"]).unwrap(), (1, String::new()));
    assert_eq!(machine.expect_any(&["a", "b"]).unwrap(), (0, " ".into()));
}

#[test]
fn questions_get_answers() {
    let mut machine = shell("while IFS= read -r line; do printf 'got %s.\\n' \"$line\"; done");
    machine.send("first\n");
    machine.expect("got first.").unwrap();
    machine.send("second\nthird\n");
    machine.expect("got third.").unwrap();
    machine.close_input();
    machine.expect_exit(Outcome::End).unwrap();
}

#[test]
fn a_question_drawn_twice_is_not_in_its_answer() {
    let script = "read -r line; printf '> que> question> question\\nanswer\\n> '; read -r line; \
                  printf 'empty\\n> '; read -r line";
    let mut machine = shell(script);
    machine.send("\n");
    assert_eq!(machine.ask("question", "\n> ").unwrap(), "\nanswer");
    machine.send("\n");
    assert_eq!(machine.ask("empty", "\n> ").unwrap(), "");
}

#[test]
fn input_that_nobody_reads_does_not_block() {
    let mut machine = shell("sleep 0.1; exit 5");
    machine.send(vec![b'x'; 1 << 20]);
    machine.expect_exit(Outcome::Failure).unwrap();
}

#[test]
fn the_exit_status_is_checked() {
    let error = shell("echo last words; exit 6").expect_exit(Outcome::End).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("crash") && text.contains("last words"), "{text}");
    let error = shell("echo broken >&2; exit 1").expect_exit(Outcome::End).unwrap_err();
    assert!(error.to_string().contains("broken"), "{error}");
    assert_eq!(shell("echo done; exit 3").expect_exit(Outcome::Skipped).unwrap(), "done\n");
}

#[test]
fn waiting_has_a_limit() {
    let mut machine = shell("echo started; exec sleep 600");
    machine.expect("started").unwrap();
    machine.set_patience(Duration::from_millis(100));
    let error = machine.expect("never").unwrap_err().to_string();
    assert!(error.starts_with("did not print [\"never\"]"), "{error}");
    let error = machine.expect_exit(Outcome::End).unwrap_err().to_string();
    assert!(error.starts_with("did not end"), "{error}");
}

#[test]
fn a_dropped_machine_is_dead() {
    let mut machine = shell("echo $$; exec sleep 600");
    let pid = machine.expect("\n").unwrap();
    drop(machine);
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
}

#[test]
fn long_transcripts_are_cut_at_the_front() {
    let machine = shell("seq 1000");
    machine.console.wait(PATIENCE, |received| received.closed.then_some(())).unwrap();
    let text = machine.failure("reason").to_string();
    assert!(text.contains("(880 lines before)\n881\n"), "{text}");
    assert!(text.ends_with("1000\n---"), "{text}");
}

#[test]
fn the_log_can_be_waited_for() {
    let log = crate::host::target_dir().join("test-machine.log");
    std::fs::write(&log, "").unwrap();
    let script = format!("sleep 0.1; echo flooded > {}; exec sleep 600", log.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    let mut machine = Machine::spawn(command, Some(log)).unwrap();
    machine.wait_for_log("flooded").unwrap();
    machine.set_patience(Duration::from_millis(100));
    let error = machine.wait_for_log("never").unwrap_err().to_string();
    assert!(error.contains("--- shim log\nflooded\n"), "{error}");
}
