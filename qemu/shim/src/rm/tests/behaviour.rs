//! The ways of the running RM that a machine file can change.

use super::*;

fn with(behaviour: Behaviour) -> Rig {
    let mut file = MachineFile::of(config());
    file.options.rm = behaviour;
    let mut rig = Rig::new(&file);
    rig.open_console();
    rig
}

#[test]
fn the_longest_write_may_be_shorter() {
    let mut rig = with(Behaviour { longest_write: 3, ..Behaviour::default() });
    assert_eq!(error(&rig.call(WRITE, 1, &write_content(0, b"abc"))), 0);
    rig.request(MessageId(WRITE), 2, &write_content(0, b"abcd"));
    rig.run();
    assert_eq!(rig.receive(1), None);
    assert_eq!(rig.line.output, b"abc");
    assert_eq!(rig.owner_write(b"abcd"), Ok(()));
    assert_eq!(rig.drain(), Vec::<Vec<u8>>::new());
}

#[test]
fn fewer_notifications_may_wait() {
    let mut rig = with(Behaviour { notifications: 2, ..Behaviour::default() });
    for number in 0..20 {
        rig.owner_write(&[number]).unwrap();
    }
    let numbers: Vec<u8> = rig.drain().iter().map(|packet| packet[12]).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 18, 19]);
}

#[test]
fn three_of_14000_bytes_wait_and_then_memory_ends() {
    let mut rig = with(Behaviour::default());
    let writes = [(); 5].map(|()| rig.owner_write(&[b'x'; 14_000]).is_ok());
    assert_eq!(writes, [true, true, true, false, false]);
}

#[test]
fn the_end_of_memory_may_be_silent() {
    let behaviour = Behaviour { memory: 2000, silent_without_memory: true, ..Behaviour::default() };
    let mut rig = with(behaviour);
    for _ in 0..10 {
        assert_eq!(rig.owner_write(&[b'x'; 400]), Ok(()));
    }
    assert!(rig.drain().len() < 20);
}

#[test]
fn replies_may_keep_to_the_order_and_wait_in_numbers() {
    let mut rig = with(Behaviour { in_order: true, replies: 3, ..Behaviour::default() });
    for _ in 0..20 {
        rig.owner_write(b"x").unwrap();
    }
    for sequence in 0..5 {
        rig.request(MessageId::VM_GET_VMID, sequence, &[]);
        rig.run();
    }
    let packets = rig.drain();
    let replies: Vec<u8> =
        packets.iter().filter(|packet| packet[1] & 3 == 2).map(|packet| packet[2]).collect();
    assert_eq!(replies, [2, 3, 4]);
    assert!(packets[..20].iter().all(|packet| packet[1] & 3 == 3));
}
