"""A guest with two CPUs uses two pairs of its NIC's queues: iperf3 with a stream on each CPU is sent and received by both; nothing is lost."""
from scenario import HEAD, Scenario, check, main, vm

CLIENT = """
[ "$(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)" = 2 ] || { echo "@fail $(ls /sys/class/net/eth0/queues)"; exit 1; }
mark meet
for c in 0 1; do taskset $((1 << c)) iperf3 -c 10.20.0.2 -p $((5201 + c)) -n 4M --bidir > /tmp/o$c 2>&1 & pids="$pids $!"; done
for p in $pids; do wait $p || { echo "@fail iperf3: $(tail -n 2 /tmp/o0 /tmp/o1)"; exit 1; }; done
echo @passed
mark done
"""
SERVER = "iperf3 -s -D -p 5201; iperf3 -s -D -p 5202\nmark meet\nmark done\n"
YAML = (HEAD + "vms:\n"
        + vm("client", "client", portgroup="web", mac="52:54:00:aa:00:01", ip="10.20.0.1/24", memory="256MiB", cpus=2)
        + vm("server", "server", portgroup="web", mac="52:54:00:aa:00:02", ip="10.20.0.2/24", memory="256MiB"))
MIB = 1 << 20


def test(folder, scenarios):
    s = Scenario("multi-queue", YAML, {"client": CLIENT, "server": SERVER}, cores=3)
    scenarios.append(s)
    with s:
        for word in ("meet", "done"):
            s.until_all(["client", "server"], "mark", word)
            for v in ("client", "server"):
                s.go(v)
        s.until_end()
        check(all(h == "power-off" for h in s.host.ended.values()), f"{s.host.ended}")
        vms = {v["name"]: v["counters"] for v in s.host.stats["vms"]}
        client = {k: v for k, v in vms["client"].items() if k.startswith("nic0.")}
        print(f"client: {client}", flush=True)
        check(client["nic0.pairs"] == 2, "the guest did not use two pairs")
        check(client["nic0.pair1.tx_chains"] > 100, "the second transmit queue was not used")
        check(client["nic0.pair1.rx_chains"] > 100, "the second receive queue was not used")
        check(vms["server"]["nic0.pairs"] == 1, "a guest with one CPU uses one pair")


main(test)
