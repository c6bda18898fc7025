//! The typed requests about VMs, with the traps of the protocol.

#[path = "support/asking.rs"]
mod asking;

use asking::{Client, ask, refusal};
use gunyah::fake::{Facts, Reaction, RmSetup};
use gunyah::rm::RequestError;
use gunyah::rm::error::RequestName;
use gunyah_abi::CapabilityId;
use gunyah_abi::rm::{MessageId, OsState, ResourceType, RmError, VmState};

#[test]
fn vms_are_looked_up() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    ask(&mut setup, &client, async {
        assert_eq!(client.lookup_name("probe-svm").await, Ok(vec![0x80]));
        assert_eq!(client.lookup_name("nobody").await, Ok(vec![]));
        assert_eq!(client.lookup_uri("vm:probe").await, Ok(vec![0x80]));
        assert_eq!(client.lookup_uri("vm:x").await, Ok(vec![]));
        assert_eq!(client.lookup_uri("probe-svm").await, Ok(vec![]), "a name is no URI");
        assert_eq!(client.lookup_guid([0; 16]).await, Ok(vec![0x80]));
        assert_eq!(client.lookup_guid([1; 16]).await, Ok(vec![]));
        assert_eq!(client.peers().await, Ok(vec![3]));
    });
    let requests = setup.rm.requests();
    let made: Vec<_> = requests.iter().map(|r| (r.id, r.content.as_slice())).collect();
    let expected: [(_, &[u8]); 8] = [
        (MessageId::VM_LOOKUP_NAME, b"\x09\0\0\0probe-svm\0\0\0"),
        (MessageId::VM_LOOKUP_NAME, b"\x06\0\0\0nobody\0\0"),
        (MessageId::VM_LOOKUP_URI, b"\x08\0\0\0vm:probe"),
        (MessageId::VM_LOOKUP_URI, b"\x04\0\0\0vm:x"),
        (MessageId::VM_LOOKUP_URI, b"\x09\0\0\0probe-svm\0\0\0"),
        (MessageId::VM_LOOKUP_GUID, &[0; 16]),
        (MessageId::VM_LOOKUP_GUID, &[1; 16]),
        (MessageId::VM_GET_PEERS, b""),
    ];
    assert_eq!(made, expected);
}

#[test]
fn a_name_longer_than_any_message_is_not_sent() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    for length in [14_617, 0x1_0000] {
        let name = "x".repeat(length);
        let result = ask(&mut setup, &client, async { client.lookup_name(&name).await });
        assert!(matches!(result, Err(RequestError::TooLong { .. })), "{result:?}");
    }
    assert!(setup.rm.requests().is_empty());
}

#[test]
fn how_a_vm_names_itself_differs_from_call_to_call() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let (invalid, denied) = (Some(RmError::ArgumentInvalid), Some(RmError::Denied));
    ask(&mut setup, &client, async {
        let own = client.vmid().await.unwrap();
        assert_eq!(client.identity(0).await, client.identity(own).await);
        assert_eq!(client.state(0).await, client.state(own).await);
        assert_eq!(refusal(client.console_open(0).await), None);
        assert_eq!(refusal(client.console_open(own).await), denied);
        assert_eq!(refusal(client.resources(0).await), invalid);
        assert_eq!(client.resources(own).await, Ok(vec![]));
        let other_vm = Some(RmError::VmidInvalid);
        for target in [0, own, 3, 0x44] {
            assert_eq!(refusal(client.crash_message(target).await), other_vm);
        }
        for unknown in [0x44, 0xffff] {
            assert_eq!(refusal(client.identity(unknown).await), invalid);
            assert_eq!(refusal(client.state(unknown).await), invalid);
            assert_eq!(refusal(client.resources(unknown).await), invalid);
        }
        assert_eq!(refusal(client.set_status(OsState::Run, 0).await), denied);
    });
    let empty = setup.rm.requests().iter().find(|r| r.id == MessageId::VM_GET_VMID);
    assert_eq!(empty.unwrap().content, b"");
}

/// A request as any other, but with an id and a content that no typed call makes.
async fn raw(client: &Client, id: MessageId, content: &[u8]) -> Option<RmError> {
    let request = RequestName { id, target: None };
    refusal(client.request(request, content, &[], |_| Ok(())).await)
}

#[test]
fn an_unknown_request_is_answered() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    ask(&mut setup, &client, async {
        for id in [0x5600_0FFF, 0x5100_0016, 0x5600_0021] {
            let id = MessageId(id);
            assert_eq!(raw(&client, id, &[]).await, Some(RmError::Unimplemented), "{id}");
        }
        let request = RequestName { id: MessageId(0x5600_0FFF), target: None };
        let error = client.request(request, &[], &[], |_| Ok(())).await.unwrap_err();
        assert_eq!(error.to_string(), "RM refused message 0x56000fff: UNIMPLEMENTED (4294967295)");
        assert_eq!(client.vmid().await, Ok(0x80), "the client goes on");
    });
}

#[test]
fn the_vmid_is_given_to_an_empty_request_only() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    ask(&mut setup, &client, async {
        let with_vmid = raw(&client, MessageId::VM_GET_VMID, &[0; 4]).await;
        assert_eq!(with_vmid, Some(RmError::MsgInvalid));
        assert_eq!(raw(&client, MessageId::VM_GET_VMID, &[]).await, None);
    });
    setup.rm.react(MessageId::VM_GET_VMID, Reaction::Reply(vec![0x2d, 0]));
    assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x2d), "as early RM answers");
}

#[test]
fn only_static_vms_may_set_their_status() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let set = |setup: &mut RmSetup| {
        let result = ask(setup, &client, client.set_status(OsState::Shutdown, 0x55));
        refusal(result)
    };
    assert_eq!(set(&mut setup), Some(RmError::Denied));
    setup.rm.facts.vmid = 3;
    assert_eq!(set(&mut setup), Some(RmError::Denied), "nor may the primary VM");
    setup.rm.facts.vmid = 0x1f;
    assert_eq!(set(&mut setup), None);
    let state = ask(&mut setup, &client, client.state(0)).unwrap();
    assert_eq!((state.os, state.application), (OsState::Shutdown, 0x55));
    let request = setup.rm.requests().iter().find(|r| r.id == MessageId::VM_SET_STATUS).unwrap();
    assert_eq!(request.content, [0, 5, 0x55, 0]);
}

#[test]
fn the_end_is_exactly_four_bytes() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    ask(&mut setup, &client, async {
        assert_eq!(refusal(client.vm_exit(2, false).await), Some(RmError::MsgInvalid));
        let long = raw(&client, MessageId::VM_EXIT, &[0; 5]).await;
        assert_eq!(long, Some(RmError::MsgInvalid));
        assert_eq!(client.set_crash_message(&[b'x'; 300]).await, Ok(()));
        assert_eq!(client.vm_exit(1, false).await, Ok(()));
    });
    assert_eq!(setup.rm.crash_message(), Some(&[b'x'; 192][..]));
    assert_eq!(setup.rm.exit_code(), Some(1));
}

#[test]
fn peers_and_resources_come_and_go() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    assert_eq!(ask(&mut setup, &client, client.peers()), Ok(vec![3]));
    setup.rm.set_peer_status(0x81, VmState::Running, OsState::Run, 7);
    setup.rm.facts.resources.clear();
    let mut late = Facts::resource(ResourceType::DoorbellSource, 9, 0, 0);
    late.partner_vmid = 0x81.into();
    setup.rm.facts.resources.push(late);
    ask(&mut setup, &client, async {
        assert_eq!(client.peers().await, Ok(vec![3, 0x81]));
        assert_eq!(client.state(0x81).await.map(|state| state.application), Ok(7));
        assert_eq!(client.resources(3).await, Ok(vec![]));
        let [source] = client.resources(0x81).await.unwrap()[..] else { panic!("one") };
        assert_eq!((source.partner, source.label), (0x81, 9));
        assert_eq!(source.capability, Some(CapabilityId(0)), "0 is a valid capability");
        assert_eq!(source.intid, None);
    });
}

#[test]
fn shared_resources_are_listed() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let resources = ask(&mut setup, &client, async {
        let owner = client.owner().await.unwrap();
        client.resources(owner).await
    });
    let [bell, queue] = resources.unwrap()[..] else { panic!("two resources") };
    assert_eq!((bell.kind, bell.partner, bell.label), (ResourceType::Doorbell, 3, 3));
    assert_eq!((bell.capability, bell.intid), (Some(CapabilityId(2)), Some(962)));
    assert_eq!((queue.kind, queue.label), (ResourceType::MessageQueueSend, 2));
}

#[test]
fn an_owner_reads_the_crash_message() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let data = b"\x05\0\0\0oops!\0\0\0".to_vec();
    setup.rm.react(MessageId::VM_GET_CRASH_MSG, Reaction::Reply(data));
    let message = ask(&mut setup, &client, async { client.crash_message(0x81).await });
    assert_eq!(message.as_deref(), Ok("oops!"));
}

#[test]
fn lists_cut_short_are_refused_with_what_was_needed() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    for (id, data, needed) in [
        (MessageId::VM_GET_PEERS, vec![2, 0, 0, 0, 3, 0, 0, 0], 16),
        (MessageId::VM_GET_PEERS, vec![], 8),
        (MessageId::VM_GET_PEERS, vec![0xff; 4], 8 + 0xffff_ffff * 4),
    ] {
        let length = 4 + data.len();
        setup.rm.react(id, Reaction::Reply(data));
        let result = ask(&mut setup, &client, async { client.peers().await });
        let Err(RequestError::ReplyTooShort { length: found, needed: wanted, .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!((found, wanted), (length, needed));
    }
    setup.rm.react(MessageId::VM_GET_HYP_RESOURCES, Reaction::Reply(vec![1; 47]));
    let result = ask(&mut setup, &client, async { client.resources(3).await });
    assert!(matches!(result, Err(RequestError::ReplyTooShort { .. })), "{result:?}");
}
