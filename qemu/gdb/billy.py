"""gdb commands that show what a stopped Billy is doing.

    billy-tasks     tasks, with state, polls and wakes
    billy-irqs      interrupts in use, with counts
    billy-queues    message queues and doorbells, with counts
    billy-trace     the last events: interrupts, hypercalls, wakes, polls
    billy-log       what the guest logged

`cargo xtask gdb` loads them. They read the guest's memory by its debug information, so they work
wherever the guest has its MMU on, and say so where it has not come that far. Nothing in the guest
is changed.
"""

import gdb

CRATE = "billy_kernel"


def static(path):
    """The value of a static of the kernel."""
    symbol = gdb.lookup_static_symbol(f"{CRATE}::{path}") or gdb.lookup_global_symbol(
        f"{CRATE}::{path}"
    )
    if symbol is None:
        raise gdb.GdbError(f"no {CRATE}::{path} in the symbols: is this the right billy.elf?")
    return symbol.value()


def field(value, name):
    """A field, however deep inside the cells and wrappers around it."""
    while True:
        fields = value.type.strip_typedefs().fields()
        if any(f.name == name for f in fields):
            return value[name]
        # Cells, mutexes and the like: the field that is no counter or marker holds the value.
        inner = [f for f in fields if f.name in ("inner", "value", "data", "v", "__0", "pointer")]
        if not inner:
            raise gdb.GdbError(f"{value.type} has no {name}")
        value = value[inner[0].name]


def number(value):
    """The integer inside atomics, cells and newtypes."""
    return int(inside(value))


def inside(value):
    """What is left of a value without the wrappers of one field around it."""
    while value.type.strip_typedefs().code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        fields = [f for f in value.type.strip_typedefs().fields() if f.type.sizeof > 0]
        if len(fields) != 1:
            return value
        value = value[fields[0].name]
    return value


def elements(vec):
    """The elements of a `Vec`."""
    length = int(vec["len"])
    kind = vec.type.template_argument(0)
    pointer = inside(vec["buf"]["inner"]["ptr"]).cast(kind.pointer())
    return [(pointer + n).dereference() for n in range(length)]


def text(value):
    """A `&str` or `String`."""
    fields = [f.name for f in value.type.strip_typedefs().fields()]
    if "data_ptr" in fields:
        pointer, length = value["data_ptr"], int(value["length"])
    else:
        vec = value["vec"]
        pointer, length = inside(vec["buf"]["inner"]["ptr"]), int(vec["len"])
    if length == 0:
        return ""
    memory = gdb.selected_inferior().read_memory(int(pointer), length)
    return memory.tobytes().decode("utf-8", "replace")


def pointed_to(option):
    """What the pointer in an `Option` points to; None if there is none."""
    if "Some" not in [f.name for f in option.type.fields()]:
        return None
    pointer = inside(option["Some"])
    return pointer.dereference() if int(pointer) else None


def variant(value):
    """The name of an enum's variant, and what is in it."""
    for f in value.type.fields():
        if f.name and value[f.name].type.fields():
            return f.name, value[f.name]["__0"]
    raise gdb.GdbError(f"{value.type} is no known variant")


def leaves(value):
    """All numbers in a struct by name, wrappers left out."""
    for f in value.type.strip_typedefs().fields():
        if not f.name or f.type.sizeof == 0:
            continue
        part = inside(value[f.name])
        kind = part.type.strip_typedefs().code
        if kind in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_BOOL):
            yield f.name, int(part)
        elif kind == gdb.TYPE_CODE_STRUCT:
            yield from leaves(part)


class Billy(gdb.Command):
    """A command that reads the guest's memory."""

    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_STATUS)

    def invoke(self, _argument, _from_tty):
        language = gdb.parameter("language")
        gdb.execute("set language rust", to_string=True)
        try:
            self.show()
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"the guest is not that far, or not on the CPU: {error}")
        finally:
            gdb.execute(f"set language {language}", to_string=True)


class Trace(Billy):
    """Show the last events: interrupts, hypercalls, wakes."""

    KINDS = {1: "interrupt", 2: "hypercall", 3: "hypercall", 4: "woken"}
    CALLS = {
        0x00: "HYP_IDENTIFY",
        0x12: "DOORBELL_SEND",
        0x13: "DOORBELL_RECEIVE",
        0x14: "DOORBELL_RESET",
        0x15: "DOORBELL_MASK",
        0x1B: "MSGQUEUE_SEND",
        0x1C: "MSGQUEUE_RECEIVE",
        0x1D: "MSGQUEUE_FLUSH",
        0x1F: "MSGQUEUE_CONFIGURE_SEND",
        0x20: "MSGQUEUE_CONFIGURE_RECEIVE",
        0x57: "PRNG_GET_ENTROPY",
    }

    def __init__(self):
        super().__init__("billy-trace")

    def show(self):
        trace = static("trace::BILLY_TRACE")
        if number(trace["magic"]).to_bytes(8, "little") != b"BILLYTRC":
            print("nothing is traced yet")
            return
        places, recorded = number(trace["places"]), number(trace["recorded"])
        print(f"{recorded} events, of which the last {min(places, recorded)}; counter, event:")
        for n in range(max(0, recorded - places), recorded):
            place = trace["ring"][n % places]
            print(f"  {number(place['time']):>12}  {self.event(place)}")

    def event(self, place):
        what = number(place["what"])
        kind, call, value = what >> 40, what >> 32 & 0xFF, what & 0xFFFFFFFF
        name = self.KINDS.get(kind, f"unknown event {what:#x}")
        if kind == 1:
            return f"{name} {value}"
        if kind in (2, 3):
            call = self.CALLS.get(call, f"{name} {call:#x}")
            capability = number(place["capability"])
            if kind == 2:
                return f"{call} {capability:#x} = {value:#x}"
            error = value - (value >> 31 << 32)
            return f"{call} {capability:#x} refused: {error}"
        task = inside(place["task"])
        if kind in (4, 5) and int(task) != 0:
            return f"{name} {text(task.dereference())}"
        return name


class Log(Billy):
    """Show what the guest logged."""

    def __init__(self):
        super().__init__("billy-log")

    def show(self):
        contents = field(static("start::BILLY_LOG")["state"], "contents")
        written, size = int(contents["written"]), int(contents["size"])
        if size == 0:
            print("nothing is logged yet")
            return
        start = int(contents["bytes"].address)
        ring = gdb.selected_inferior().read_memory(start, size).tobytes()
        if written > size:
            ring = ring[written % size :] + ring[: written % size]
            ring = ring[ring.find(b"\n") + 1 :]
        else:
            ring = ring[:written]
        print(ring.decode("utf-8", "replace"), end="")


class Interrupts(Billy):
    """Show the interrupts in use, with counts."""

    def __init__(self):
        super().__init__("billy-irqs")

    def show(self):
        entries = elements(field(static("interrupts::gic::TABLE"), "entries"))
        if not entries:
            print("no interrupt is in use yet")
        for usage in sorted(entries, key=lambda usage: int(usage["interrupt"]["intid"])):
            interrupt = usage["interrupt"]
            trigger = str(interrupt["trigger"]).rsplit("::", 1)[-1].lower()
            print(
                f"  {int(interrupt['intid']):>4} {trigger:5}  {number(usage['count']):>8}"
                f"  {text(usage['name'])}"
            )
        for name in ("SPURIOUS", "UNEXPECTED"):
            print(f"{name.lower()} {number(static(f'interrupts::gic::{name}'))}")


class Tasks(Billy):
    """Show tasks, with state, polls and wakes."""

    def __init__(self):
        super().__init__("billy-tasks")

    def show(self):
        slots = inside(static("debugger::TASKS"))
        if int(slots) == 0:
            print("no task has been started yet")
            return
        running = int(inside(static("run::RUN_QUEUE")["current"]))
        print(f"  {'name':16} {'state':8} {'polls':>8} {'wakes':>8}")
        for slot in elements(field(slots.dereference(), "slots")):
            task = pointed_to(slot)
            if task is None:
                # A task that ended was there.
                continue
            task = counted(task)
            header = counted(inside(task["header"]).dereference())
            name = header["name"]
            state = "ready" if number(header["queued"]) else "waiting"
            if int(name) == running:
                state = "running"
            polls, wakes = number(task["polls"]), number(header["wakes"])
            print(f"  {text(name.dereference()):16} {state:8} {polls:>8} {wakes:>8}")


def counted(content):
    """What an `Rc` or `Arc` points to, behind its two counts."""
    names = [f.name for f in content.type.strip_typedefs().fields()]
    for name in ("value", "data"):
        if name in names:
            return content[name]
    return content


class Queues(Billy):
    """Show message queues and doorbells, with counts."""

    def __init__(self):
        super().__init__("billy-queues")

    def show(self):
        ready = inside(static("debugger::READY"))
        if int(ready) == 0:
            print("no queue has been made yet")
            return
        manager = pointed_to(ready.dereference()["manager"])
        if manager is not None:
            self.pair("Resource Manager", manager)
        system = ready.dereference()["system"].dereference()
        for channel in elements(system["channels"]["list"]["value"]["value"]):
            self.channel(channel)

    def channel(self, channel):
        kind, shared = variant(channel)
        content = counted(inside(shared).dereference())
        label = content["about"]["path"]
        name = f"{kind.lower()} {text(label)}".strip()
        print(name)
        ends = {
            "Bell": (("received", "receiver"),),
            "Source": (("rung", "source"),),
            "Queue": (("sender", "sender"), ("receiver", "receiver")),
        }
        for words, end in ends.get(kind, ()):
            end = content[end]
            if kind == "Queue":
                end = pointed_to(end)
                if end is None:
                    continue
                self.counts(words, counted(end))
            elif kind == "Bell":
                self.counts(words, counted(inside(end).dereference()))
            else:
                self.counts(words, end)

    def pair(self, name, owner):
        print(name)
        self.counts("sender", owner["sender"])
        self.counts("receiver", owner["receiver"])

    def counts(self, name, value):
        words = []
        for leaf, content in leaves(value):
            if leaf == "__0" or "capability" in leaf:
                words.append(f"capability {content:#x}")
            elif content or leaf in ("messages", "bytes", "interrupts", "rings"):
                words.append(f"{leaf} {content}")
        print(f"  {name:9} " + ", ".join(words))


for command in (Tasks, Interrupts, Queues, Trace, Log):
    command()
