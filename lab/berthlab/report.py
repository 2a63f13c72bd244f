"""The main job's report: fio and iperf3 results beside the host's own counters, taken around each run."""

FIO_RUNS = ("write-1m-seq", "read-1m-seq", "randread-4k-qd1", "randread-4k-qd16", "randwrite-4k-qd1", "randwrite-4k-qd16")
IPERF_RUNS = ("tcp-to-web1", "tcp-from-web1", "udp-to-web1")
SMALL_RUNS = ("randread-4k-qd1", "randread-4k-qd16", "randwrite-4k-qd16", "tcp-to-web1", "tcp-from-web1")  # of a slow emulator
# Where a direction's KiB, KiB/s, IOPS and mean completion latency (us) stand in what lab/guest/fio-jobs.sh sends.
FIELDS = {"read": slice(0, 4), "write": slice(4, 8)}


def vm_of(stats, name):
    return next((v for v in stats["vms"] if v["name"] == name), {"exits": {}, "interrupts": 0})


def exits(stats, vm):
    return sum(vm_of(stats, vm)["exits"].values())


def host_interrupts(stats, vm):
    """Exits for the host's own interrupts: its timers, NICs and other cores; a busy or slow machine has more of them."""
    return vm_of(stats, vm)["exits"].get("interrupt", 0)


def disk_ios(stats, vm):
    return sum(sum(d["ios"].values()) for d in stats["disks"] if d["vm"] == vm)


def port_packets(stats, vm):
    return sum(p["rx_packets"] + p["tx_packets"] for p in stats["ports"] if p.get("vm") == vm)


class Report:
    """small: of a machine whose clock counts instructions, not time: no rates then, exits only."""

    def __init__(self, small=False):
        self.small, self.started, self.runs, self.final = small, {}, {}, None
        self.expected = SMALL_RUNS if small else FIO_RUNS + IPERF_RUNS

    def begin(self, vm, name, stats):
        self.started[vm, name] = stats

    def end(self, vm, name, stats):
        before = self.started.pop((vm, name))
        run = self.runs.setdefault((vm, name), {})
        run["exits"] = exits(stats, vm) - exits(before, vm)
        run["own"] = run["exits"] - host_interrupts(stats, vm) + host_interrupts(before, vm)
        run["ios"] = disk_ios(stats, vm) - disk_ios(before, vm)
        run["interrupts"] = vm_of(stats, vm)["interrupts"] - vm_of(before, vm)["interrupts"]
        run["packets"] = port_packets(stats, vm) - port_packets(before, vm)

    def fio(self, vm, name, text):
        f = text.split(";")
        run = self.runs.setdefault((vm, name), {})
        run["fio"] = {}
        if len(f) != 8:
            return  # no result: a problem, below
        for way, at in FIELDS.items():
            kib, rate, iops, latency = f[at]
            if int(kib or 0):
                run["fio"][way] = (int(kib), int(rate), float(iops), float(latency))

    def iperf(self, vm, name, text):
        self.runs.setdefault((vm, name), {})["iperf"] = " ".join(text.split("]")[-1].split())

    def finish(self, host):
        self.final = host.stats

    def problems(self, host):
        out = []
        for vm in ("db1", "web1"):
            for n in (n for n in FIO_RUNS if n in self.expected):  # a writing run verifies what it wrote, so it reads too
                got = self.runs.get((vm, n), {}).get("fio", {})
                out += [f"{vm}: fio {n} gave no result for {way}s" for way in (["read", "write"] if "write" in n else ["read"]) if way not in got]
            how = host.ended.get(vm, "did not end")
            if how != "power-off":
                out.append(f"{vm}: {how}")
        out += [f"iperf3 {n} gave no result" for n in IPERF_RUNS if n in self.expected and not self.runs.get(("db1", n), {}).get("iperf")]
        if self.final is None:
            out.append("the host gave no counters at its end")
        return out

    def text(self):
        rates = "" if self.small else f"{'MiB/s':>8}{'IOPS':>8}{'mean us':>9}"
        out = ["", "Berth main job", "", f"{'guest disk':28}{'':9}{'MiB':>5}{rates}{'exits/IO':>10}{'own':>8}{'irqs/IO':>9}"]
        for (vm, name), run in self.runs.items():
            for way, (kib, rate, iops, lat) in run.get("fio", {}).items():
                per = f"{run['exits'] / run['ios']:10.2f}{run['own'] / run['ios']:8.2f}{run['interrupts'] / run['ios']:9.2f}" if run.get("ios") else ""
                rates = "" if self.small else f"{rate / 1024:8.1f}{iops:8.0f}{lat:9.0f}"
                out.append(f"{vm + ' ' + name:28}{way:9}{kib / 1024:5.1f}{rates}{per}")
        out += ["", f"{'guest network':28}{'exits/packet':>13}{'own':>8}  iperf3 (receiver)"]
        for (vm, name), run in self.runs.items():
            if "iperf" in run:
                per = f"{run['exits'] / run['packets']:13.2f}{run['own'] / run['packets']:8.2f}" if run.get("packets") else f"{'':21}"
                out.append(f"{vm + ' ' + name:28}{per}  {' '.join(run['iperf'].split()[2:4]) if self.small else run['iperf']}")
        if self.final:
            out += self._final()
        return "\n".join(out) + "\n"

    def _final(self):
        s = self.final
        out = ["", f"{'datastore':28}{'state':12}{'read MiB':>10}{'written MiB':>13}"]
        for d in s["datastores"]:
            out.append(f"{d['name']:28}{d['state']:12}{d['read_bytes'] / 2**20:10.1f}{d['written_bytes'] / 2**20:13.1f}")
        out += ["", f"{'switch port':28}{'rx packets':>12}{'tx packets':>12}  drops"]
        for p in s["ports"]:
            drops = ", ".join(f"{k} {v}" for k, v in p["drops"].items() if v) or "none"
            out.append(f"{p['name']:28}{p['rx_packets']:12}{p['tx_packets']:12}  {drops}")
        for v in s["vms"]:
            top = sorted(v["exits"].items(), key=lambda kv: -kv[1])[:6]
            out.append("" if v is s["vms"][0] else "")
            out.append(f"{v['name']}: exits " + ", ".join(f"{k} {n}" for k, n in top) + f"; interrupts {v['interrupts']}; "
                       f"memory {v['memory_bytes'] / 2**20:.0f} MiB")
        m = s["memory"]
        out.append(f"host memory: {m['base_bytes'] / 2**20:.0f} MiB for itself of {m['total_bytes'] / 2**20:.0f} MiB")
        return out
