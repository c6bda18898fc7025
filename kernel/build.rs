//! Links the image: position independent, by the one linker script.

fn main() {
    println!("cargo:rerun-if-changed=../linker.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for argument in [
        &format!("-T{folder}/../linker.ld"),
        "-pie",
        "--no-dynamic-linker",
        // The prebuilt `core` keeps addresses in read-only sections; the entry code relocates
        // them before it makes these read-only.
        "-znotext",
        // A bit each instead of 24 bytes.
        "-zpack-relative-relocs",
        // Crash reports name the build, so that their addresses are looked up in the right file.
        "--build-id=fast",
    ] {
        println!("cargo:rustc-link-arg-bin=billy={argument}");
    }
}
