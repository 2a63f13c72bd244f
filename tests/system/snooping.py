"""IGMP and MLD snooping on a booted host: a Linux bridge is the querier outside, two Linux guests in VLAN 20, one of which joins.

The host hears the querier and begins to filter; a guest's join and leave are seen; what the peer sends to a group reaches the member and not
the other guest, and is dropped by its reason while nobody is a member. Counted by the host, not timed.
"""
import time

from scenario import HEAD, Scenario, check, main, vm
from berthlab.peer import Peer
from berthlab.wire import Wire

GROUP, GROUP6 = "239.1.2.3", "ff0e:0:0:0:0:0:0:33"
FRAMES = 200
MEMBER = f"""
mark ready
/bin/ip addr add {GROUP}/32 dev eth0 autojoin && /bin/ip -6 addr add ff0e::33/128 dev eth0 autojoin || exit 1
mark joined
/bin/ip addr del {GROUP}/32 dev eth0 && /bin/ip -6 addr del ff0e::33/128 dev eth0 || exit 1
mark left
"""
OTHER = "mark ready\n"
YAML = (HEAD.replace("uplinks: [uplink0]}", "uplinks: [uplink0], snooping: true}") + "vms:\n"
        + vm("member", "member", portgroup="web", mac="52:54:00:aa:00:01", ip="10.20.0.1/24", memory="256MiB")
        + vm("other", "other", portgroup="web", mac="52:54:00:aa:00:02", ip="10.20.0.2/24", memory="256MiB"))
QUERIER = """modprobe bridge; modprobe 8021q
ip link add link eth0 name v20 type vlan id 20
ip link add br20 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 1 mcast_query_interval 500 mcast_query_response_interval 200 \\
	mcast_startup_query_interval 300
ip link set v20 master br20
echo 2 > /sys/class/net/br20/brif/v20/multicast_router # else the bridge itself keeps what nobody here has joined
ip addr add 10.20.0.50/24 dev br20
ip link set v20 up; ip link set br20 up
"""


def until(s, what, test, seconds=180):
    """Asks the host for its groups until test(members, filtering) holds; members: {(group, port)}, filtering: protocols in VLAN 20."""
    end = time.monotonic() + seconds
    while True:
        answer = s.host.ask("groups", "groups")
        members = {(g["group"], g["port"]) for g in answer["groups"] if g["vlan"] == 20}
        filtering = {v["protocol"] for v in answer["vlans"] if v["vlan"] == 20 and v["filtering"]}
        if test(members, filtering):
            print(f"{what}: members {sorted(members)}, filtering {sorted(filtering)}", flush=True)
            return
        check(time.monotonic() < end, f"{what}: not so; the host answers {answer}")
        time.sleep(0.5)


def send(s, peer, group):
    """Sends FRAMES to a group: how many frames more each guest got, how many more the uplink dropped for want of a member."""
    def counts():
        ports = {p["name"]: p for p in s.host.snapshot()["ports"]}
        return [ports["member.nic0"]["rx_packets"], ports["other.nic0"]["rx_packets"], ports["uplink0"]["drops"].get("no-member", 0)]

    before = counts()
    peer.sh(f"ping -c {FRAMES} -i 0.01 -W 1 -I br20 {group}", may_fail=True)
    difference = [b - a for a, b in zip(before, counts())]
    print(f"{FRAMES} frames to {group}: member {difference[0]}, other {difference[1]}, no member {difference[2]}", flush=True)
    return difference


def test(folder, scenarios):
    wire = Wire("up")
    s = Scenario("snoop", YAML, {"member": MEMBER, "other": OTHER}, netdevs={"uplink0": wire.host})
    scenarios.append(s)
    some = FRAMES // 4  # queries, neighbours
    with s, Peer([wire]) as peer:
        s.until_all(["member", "other"], "mark", "ready")
        peer.wait_ready()
        peer.sh(QUERIER)
        until(s, "a querier outside", lambda members, filtering: filtering == {"igmp", "mld"})
        for group in (GROUP, GROUP6):
            member, other, dropped = send(s, peer, group)
            check(dropped >= FRAMES and member < some and other < some, "frames of a group without members reached somebody")
        s.go("member")
        s.until("member", "mark", "joined")
        until(s, "a guest joined", lambda members, _: {(GROUP, "member.nic0"), (GROUP6, "member.nic0")} <= members)
        for group in (GROUP, GROUP6):
            member, other, dropped = send(s, peer, group)
            check(member >= FRAMES and other < some and dropped < some, "frames of a group did not reach its member, and nobody else")
        s.go("member")
        s.until("member", "mark", "left")
        until(s, "it left", lambda members, _: not members & {(GROUP, "member.nic0"), (GROUP6, "member.nic0")})
        check(send(s, peer, GROUP)[2] >= FRAMES, "frames of a group that was left reached somebody")
        s.go("member")
        s.go("other")
        s.until_end()


main(test)
