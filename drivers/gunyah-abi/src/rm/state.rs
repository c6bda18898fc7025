//! States, exit types and resource types that RM reports.

use crate::macros::named_enum;

named_enum! {
    /// State of a VM. Path: NONE, LOAD, (AUTH), INIT, READY, RUNNING, EXITED, RESETTING, RESET.
    pub enum VmState: u8 as "{}" {
        /// No VM.
        None = 0 => "NONE",
        /// Being initialised.
        Init = 1 => "INIT",
        /// Ready to start.
        Ready = 2 => "READY",
        /// Running.
        Running = 3 => "RUNNING",
        /// Paused.
        Paused = 4 => "PAUSED",
        /// Being loaded.
        Load = 5 => "LOAD",
        /// Being authenticated.
        Auth = 6 => "AUTH",
        /// Initialisation failed.
        InitFailed = 8 => "INIT_FAILED",
        /// Ended.
        Exited = 9 => "EXITED",
        /// Being reset.
        Resetting = 10 => "RESETTING",
        /// Reset done.
        Reset = 11 => "RESET",
    }
}

named_enum! {
    /// What a VM says of its operating system.
    pub enum OsState: u8 as "{}" {
        /// Nothing.
        None = 0 => "NONE",
        /// Early boot.
        EarlyBoot = 1 => "EARLY_BOOT",
        /// Boot.
        Boot = 2 => "BOOT",
        /// Init.
        Init = 3 => "INIT",
        /// Running.
        Run = 4 => "RUN",
        /// Shutting down.
        Shutdown = 5 => "SHUTDOWN",
        /// Halted.
        Halted = 6 => "HALTED",
        /// Crashed.
        Crashed = 7 => "CRASHED",
    }
}

named_enum! {
    /// How a VM ended.
    pub enum ExitType: u16 as "{}" {
        /// By the request `VM_EXIT`.
        VmExit = 0 => "VM_EXIT",
        /// By PSCI `SYSTEM_OFF`.
        PlatformOff = 1 => "PLATFORM_OFF",
        /// By PSCI `SYSTEM_RESET`.
        PlatformReset = 2 => "PLATFORM_RESET",
        /// By PSCI `SYSTEM_RESET2`.
        PsciSystemReset2 = 3 => "PSCI_SYSTEM_RESET2",
        /// The watchdog bit.
        WatchdogBite = 4 => "WATCHDOG_BITE",
        /// A vCPU faulted.
        SoftwareError = 5 => "SOFTWARE_ERROR",
        /// Asynchronous hardware error.
        AsyncHardwareError = 6 => "ASYNC_HARDWARE_ERROR",
        /// Stopped by force.
        ForcedStop = 7 => "FORCED_STOP",
    }
}

named_enum! {
    /// Kind of a virtual device in `VM_GET_HYP_RESOURCES`.
    pub enum ResourceType: u8 as "{}" {
        /// Doorbell to ring.
        DoorbellSource = 0 => "DOORBELL_SOURCE",
        /// Doorbell to receive from.
        Doorbell = 1 => "DOORBELL",
        /// Message queue to send to.
        MessageQueueSend = 2 => "MSGQUEUE_SEND",
        /// Message queue to receive from.
        MessageQueueReceive = 3 => "MSGQUEUE_RECEIVE",
        /// vCPU; the label is its affinity index.
        Vcpu = 4 => "VCPU",
        /// Power management group.
        VpmGroup = 5 => "VPM_GROUP",
        /// virtio over MMIO.
        VirtioMmio = 6 => "VIRTIO_MMIO",
        /// Real-time clock.
        Vrtc = 7 => "VRTC",
        /// Watchdog.
        Watchdog = 8 => "WATCHDOG",
    }
}
