//! The base tree built into the image, for whoever is handed an overlay alone.

/// Puts bytes where a device tree may begin.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static BASE: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../qemu/dt/gunyah-vm.dtb"));

/// Returns `qemu/dt/gunyah-vm.dts`, compiled: the tree that Billy's author gives to the Resource
/// Manager, which adds to it what it creates.
pub fn builtin_base() -> &'static [u8] {
    &BASE.0
}
