//! The Resource Manager's requests as typed calls.
//!
//! How a VM names itself differs from call to call, and the types cannot tell:
//!
//! | request | the caller itself |
//! |---|---|
//! | `VM_GET_VMID`, `VM_GET_OWNER`, `VM_GET_PEERS`, `VM_HOST_GET_TYPE`, `VM_SET_STATUS` | always meant: there is no target |
//! | `VM_GET_ID`, `VM_GET_STATE` | 0 or its own VMID |
//! | `CONSOLE_…` | 0; its own VMID means its owner's side and is `DENIED` |
//! | `VM_GET_HYP_RESOURCES` | never: the VM at the other end is meant, 0 gives `ARGUMENT_INVALID` |
//! | `VM_GET_CRASH_MSG` | never: only a VM's owner may ask |

mod lists;

pub use lists::Resource;

use super::client::{ResourceManager, Timer};
use super::error::{RequestError, RequestName, Target};
use crate::hypercalls::Hypercalls;
use alloc::string::String;
use alloc::vec::Vec;
use gunyah_abi::rm::payload::{
    ConsoleWriteHeader, LookupGuidRequest, SetStatusRequest, StateReply, TextHeader, VmExitRequest,
    VmidRequest, WordReply, padded,
};
use gunyah_abi::rm::{
    MAX_CONSOLE_WRITE, MAX_CRASH_MESSAGE, MessageId, OsState, SELF_VMID, VmState,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Who a VM is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmIdentity {
    /// GUID, all zeros where the VM has none.
    pub guid: Option<[u8; 16]>,
    /// URI.
    pub uri: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Signing authority.
    pub signing_authority: Option<String>,
}

/// How a VM is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmStatus {
    /// State of the VM.
    pub vm: VmState,
    /// State its operating system gave.
    pub os: OsState,
    /// What its application gave.
    pub application: u16,
}

pub(super) fn fixed<R: FromBytes + KnownLayout + Immutable + Copy>(
    data: &[u8],
) -> Result<R, usize> {
    match R::read_from_prefix(data) {
        Ok((reply, _)) => Ok(reply),
        Err(_) => Err(size_of::<R>()),
    }
}

pub(super) fn word(data: &[u8]) -> Result<u32, usize> {
    fixed::<WordReply>(data).map(|reply| reply.value.get())
}

pub(super) fn nothing(_: &[u8]) -> Result<(), usize> {
    Ok(())
}

/// Unless stated otherwise the calls fail with what [`ResourceManager::request`] lists.
impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    fn ask<R>(
        &self,
        id: MessageId,
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> impl Future<Output = Result<R, RequestError>> {
        self.request(RequestName { id, target: None }, &[], &[], parse)
    }

    async fn about<R>(
        &self,
        id: MessageId,
        vmid: u16,
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> Result<R, RequestError> {
        let target = Some(Target::Vm(vmid));
        let content = VmidRequest::new(vmid);
        self.request(RequestName { id, target }, content.as_bytes(), &[], parse).await
    }

    /// Makes a request whose content is a text, padded with zeros.
    async fn with_text<R>(
        &self,
        id: MessageId,
        text: &[u8],
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> Result<R, RequestError> {
        let request = RequestName { id, target: None };
        let Ok(length) = u16::try_from(text.len()) else {
            return Err(RequestError::TooLong { request, length: text.len() });
        };
        let mut content = Vec::with_capacity(padded(text.len()));
        content.extend_from_slice(text);
        content.resize(padded(text.len()), 0);
        self.request(request, TextHeader::new(length).as_bytes(), &content, parse).await
    }

    /// Asks for the caller's VMID (`VM_GET_VMID`). The request must be empty; RM refuses the form with a VMID of early drivers.
    pub fn vmid(&self) -> impl Future<Output = Result<u16, RequestError>> {
        self.ask(MessageId::VM_GET_VMID, lists::vmid)
    }

    /// Asks which VMs have a URI (`VM_LOOKUP_URI`).
    pub async fn lookup_uri(&self, uri: &str) -> Result<Vec<u16>, RequestError> {
        self.with_text(MessageId::VM_LOOKUP_URI, uri.as_bytes(), lists::vmids).await
    }

    /// Asks which VMs have a GUID, given in the order of its bytes (`VM_LOOKUP_GUID`). All zeros is the GUID of those that have
    /// none.
    pub async fn lookup_guid(&self, guid: [u8; 16]) -> Result<Vec<u16>, RequestError> {
        let request = RequestName { id: MessageId::VM_LOOKUP_GUID, target: None };
        let content = LookupGuidRequest { guid };
        self.request(request, content.as_bytes(), &[], lists::vmids).await
    }

    /// Asks which VMs have a name (`VM_LOOKUP_NAME`).
    pub async fn lookup_name(&self, name: &str) -> Result<Vec<u16>, RequestError> {
        self.with_text(MessageId::VM_LOOKUP_NAME, name.as_bytes(), lists::vmids).await
    }

    /// Asks which VMs the caller has channels to (`VM_GET_PEERS`).
    pub async fn peers(&self) -> Result<Vec<u16>, RequestError> {
        self.ask(MessageId::VM_GET_PEERS, lists::peers).await
    }

    /// Asks what the caller shares with another VM, and for that VM's vCPUs if the caller owns it
    /// (`VM_GET_HYP_RESOURCES`). A guest asks with its [`Self::owner`]; 0 is refused with `ARGUMENT_INVALID`.
    pub async fn resources(&self, partner: u16) -> Result<Vec<Resource>, RequestError> {
        self.about(MessageId::VM_GET_HYP_RESOURCES, partner, lists::resources).await
    }

    /// Asks for the crash message of a VM that the caller owns, empty if there is none (`VM_GET_CRASH_MSG`). To
    /// anybody else the VM does not exist (`VMID_INVALID`), so a VM cannot read its own.
    pub async fn crash_message(&self, vmid: u16) -> Result<String, RequestError> {
        self.about(MessageId::VM_GET_CRASH_MSG, vmid, lists::text).await
    }

    /// Asks who a VM is, 0 being the caller (`VM_GET_ID`).
    pub async fn identity(&self, vmid: u16) -> Result<VmIdentity, RequestError> {
        self.about(MessageId::VM_GET_ID, vmid, lists::identity).await
    }

    /// Asks for the platform's type word (`VM_HOST_GET_TYPE`).
    pub async fn host_type(&self) -> Result<u32, RequestError> {
        self.ask(MessageId::VM_HOST_GET_TYPE, word).await
    }

    /// Asks for the owner's VMID (`VM_GET_OWNER`).
    pub async fn owner(&self) -> Result<u16, RequestError> {
        self.ask(MessageId::VM_GET_OWNER, lists::vmid).await
    }

    /// Asks how a VM is, 0 being the caller (`VM_GET_STATE`).
    pub async fn state(&self, vmid: u16) -> Result<VmStatus, RequestError> {
        let reply: StateReply = self.about(MessageId::VM_GET_STATE, vmid, fixed).await?;
        Ok(VmStatus {
            vm: reply.vm_state(),
            os: reply.os_state(),
            application: reply.app_status.get(),
        })
    }

    /// Tells peers how the caller is (`VM_SET_STATUS`). RM refuses it to dynamic VMIDs with `DENIED`.
    pub async fn set_status(&self, os: OsState, application: u16) -> Result<(), RequestError> {
        let request = RequestName { id: MessageId::VM_SET_STATUS, target: None };
        let content = SetStatusRequest::new(os, application);
        self.request(request, content.as_bytes(), &[], nothing).await
    }

    /// Ends the caller with a code of [`gunyah_abi::rm::exit_code`], and has its owner start it again if `restart`
    /// (`VM_EXIT`). Where it works no reply is seen.
    pub async fn vm_exit(&self, code: u8, restart: bool) -> Result<(), RequestError> {
        let request = RequestName { id: MessageId::VM_EXIT, target: None };
        let content = VmExitRequest::new(code, restart);
        self.request(request, content.as_bytes(), &[], nothing).await
    }

    /// Stores the caller's crash message, cut to 192 bytes (`VM_SET_CRASH_MSG`).
    pub async fn set_crash_message(&self, text: &[u8]) -> Result<(), RequestError> {
        let text = text.get(..MAX_CRASH_MESSAGE).unwrap_or(text);
        self.with_text(MessageId::VM_SET_CRASH_MSG, text, nothing).await
    }

    /// Opens a console, 0 being the caller's own (`CONSOLE_OPEN`).
    pub async fn console_open(&self, target: u16) -> Result<(), RequestError> {
        self.about(MessageId::CONSOLE_OPEN, target, nothing).await
    }

    /// Closes a console, 0 being the caller's own (`CONSOLE_CLOSE`).
    pub async fn console_close(&self, target: u16) -> Result<(), RequestError> {
        self.about(MessageId::CONSOLE_CLOSE, target, nothing).await
    }

    /// Flushes a console, 0 being the caller's own (`CONSOLE_FLUSH`); RM only checks whether it may.
    pub async fn console_flush(&self, target: u16) -> Result<(), RequestError> {
        self.about(MessageId::CONSOLE_FLUSH, target, nothing).await
    }

    /// Writes to a console in one request, 0 being the caller's own (`CONSOLE_WRITE`).
    ///
    /// # Errors
    ///
    /// Also [`RequestError::TooLong`] beyond 14,612 bytes, which RM would drop without an answer.
    pub async fn console_write(&self, target: u16, text: &[u8]) -> Result<(), RequestError> {
        let request =
            RequestName { id: MessageId::CONSOLE_WRITE, target: Some(Target::Vm(target)) };
        if text.len() > MAX_CONSOLE_WRITE {
            let length = text.len();
            return Err(RequestError::TooLong { request, length });
        }
        let header = ConsoleWriteHeader::new(target, text.len() as u16);
        self.request(request, header.as_bytes(), text, nothing).await
    }

    /// Writes to the caller's own console.
    ///
    /// # Errors
    ///
    /// As [`Self::console_write`].
    pub async fn print(&self, text: &[u8]) -> Result<(), RequestError> {
        self.console_write(SELF_VMID, text).await
    }
}
