//! What the peer does on the machines measured; marks in the log part them.

/// The guest's own way out.
const END: &str = "\
    log end
    type \"poweroff\\r\"
    expect exit off within 60000
";

/// The machine that only boots.
pub fn boot() -> String {
    let prompt = "expect console \"billy> \"\nlog prompt\nwait ms 20\n";
    [prompt, END].concat()
}

/// The machine whose costs are told apart.
pub fn plain() -> String {
    let messages: String =
        (1..=4).map(|n| format!("send 2 m{n}\nexpect message 2 m{n}\n")).collect();
    format!(
        "expect console \"billy> \"
        log prompt
        wait ms 20
        log messages
        {messages}wait ms 20
        log bells
        ring 3 0x1 8
        wait ms 20
        log requests
        type \"rm ping 100\\r\"
        expect console \"billy> \"
        wait ms 20
        log console
        type \"count 2000\\r\"
        expect console \"2000\"
        expect console \"billy> \"
        {END}"
    )
}

/// The machine whose queue has services: it has 64 bytes echoed.
pub fn services() -> String {
    // "@" is their number.
    let data = format!("@{}", "a".repeat(64));
    // Version 1; a request, and its reply; service 1; request 7.
    let header = |kind| format!("\\x01\\x0{kind}\\x01\\x00\\x07\\x00\\x00\\x00");
    let (request, reply) = (header(1), header(2));
    let echo = format!("send 2 \"{request}{data}\"\nexpect message 2 \"{reply}{data}\"\n");
    let echoes = echo.repeat(4);
    format!(
        "silent on
        expect console \"billy> \"
        wait ms 20
        log requests
        {echoes}wait ms 20
        {END}"
    )
}

/// The machine with rings: services' messages of 64 bytes through one; through another, of bytes, 64 echoed raw, then 1 MiB.
pub fn ring() -> String {
    // With its length and the header, 64 bytes.
    let text = "a".repeat(55);
    let messages: String = (1..=5)
        .map(|n| format!("request 7 echo {n} text={text}\nexpect reply 7 echo {n}\n"))
        .collect();
    let bytes = "stream 8 64\nexpect streamed 8 64\nwait ms 5\n".repeat(5);
    format!(
        "silent on
        expect console \"billy> \"
        add ring 7 131072
        expect accepted 7
        attach 7
        expect attached 7
        add ring 8 131072
        expect accepted 8
        attach 8 bytes
        expect attached 8
        wait ms 20
        log messages
        {messages}wait ms 20
        log bytes
        {bytes}log stream
        stream 8 1048576
        expect streamed 8 1048576
        {END}"
    )
}

#[cfg(test)]
mod tests {
    use billy_shim::peer::script::Script;

    #[test]
    fn the_scripts_make_sense() {
        for script in [super::boot(), super::plain(), super::services(), super::ring()] {
            Script::parse(script.lines()).unwrap();
        }
    }
}
