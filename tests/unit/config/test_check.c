/* config/check*.c: each rule fires on a configuration that breaks it, and none on a good one. A table: a change to the good one, the
 * problem. */
#include "test.h"

#include "collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct collected problems;

static const char good[] =
	"{'host':{'name':'hv1'},'uplinks':[{'name':'u0','match':{'mac':'52:54:00:12:34:56'}},{'name':'u1','match':{'pci':'0000:00:02.0'}}],"
	"'vswitches':[{'name':'s0','uplinks':['u0']},{'name':'s1','uplinks':['u1']}],"
	"'portgroups':[{'name':'storage','vswitch':'s0'},{'name':'web','vswitch':'s1','vlan':20}],"
	"'vmknics':[{'name':'vmk0','portgroup':'storage','address':'10.0.2.15/24','gateway':'10.0.2.2'},"
	"{'name':'vmk1','portgroup':'web','address':'10.0.3.15/24'}],"
	"'datastores':[{'name':'nas1','nfs':{'server':'10.0.2.2','export':'/vol1'}},"
	"{'name':'san1','iscsi':{'portals':['10.0.3.2','10.9.9.9'],'target':'iqn.2026-01.lab:t1','lun':1,"
	"'chap':{'user':'hv1','secret':'module:good'}}},"
	"{'name':'ram','ram':{'size':'64MiB'}}],"
	"'vms':[{'name':'a','memory':'256MiB','boot':{'linux':'nas1:vmlinuz'},'disks':[{'datastore':'san1'},{'datastore':'nas1','file':'a."
	"raw'}],"
	"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01'}]},"
	"{'name':'b','memory':'2MiB','boot':{'multiboot':'module:k'},'disks':[{'datastore':'ram','file':'x','size':'4MiB'},"
	"{'datastore':'nas1','file':'t.iso','read_only':true}],'nics':[{'portgroup':'web'}]}]}";

/* Both uplinks in s0, both port groups on it. */
#define TWO                                                                                                                                \
	"'vswitches':[{'name':'s0','uplinks':['u0']},{'name':'s1','uplinks':['u1']}],'portgroups':[{'name':'storage','vswitch':'s0'},"     \
	"{'name':'web','vswitch':'s1','vlan':20}]"
#define TWO_UPLINKS "'vswitches':[{'name':'s0','uplinks':['u0','u1']}],'portgroups':[{'name':'storage','vswitch':'s0'},"
#define TEAM(teaming)                                                                                                                      \
	"'vswitches':[{'name':'s0','uplinks':['u0','u1'],'teaming':" teaming "}],"                                                         \
	"'portgroups':[{'name':'storage','vswitch':'s0'},{'name':'web','vswitch':'s0','vlan':20}]"

#define MIRROR(sources, destination)                                                                                                       \
	"'vms':[{'name':'a'",                                                                                                              \
		"'mirrors':[{'name':'m','vswitch':'s1','sources':[" sources "],'destination':{" destination "}}],'vms':[{'name':'a'"

static const struct {
	const char *from, *to, *expected; /* expected: how the first problem begins */
} rules[] = {
	{"'name':'hv1'},'uplinks'", "'name':'HV1'},'uplinks'",
		"error host.name: the iSCSI name made from the host's name, \"iqn.2026-01.io.berth:HV1\", has a capital"},
	{"{'name':'hv1'}", "{'name':'hv1','initiator':'hv1'}", "error host.initiator: the iSCSI name \"hv1\" does not begin with"},
	{"{'name':'hv1'}", "{'name':'hv1','initiator':'eui.0123'}",
		"error host.initiator: the iSCSI name \"eui.0123\" does not have 16 hexa"},
	{"'uplinks':[{", "'uplinks':[{'name':'u1','match':{'pci':'0000:00:03.0'}},{",
		"error uplinks[2].name: there are two uplinks called \"u1\""},
	{"'uplinks':['u1']", "'uplinks':['u0']", "error vswitches[1].uplinks[0]: uplink \"u0\" is already in vSwitch \"s0\""},
	{"'uplinks':['u1']", "'uplinks':['u1','u1']", "error vswitches[1].uplinks[1]: uplink \"u1\" is listed twice in vSwitch \"s1\""},
	{"'pci':'0000:00:02.0'", "'mac':'52:54:00:12:34:56'", "error uplinks[1].match.mac: uplinks \"u0\" and \"u1\" match the same NIC"},
	{"'vswitches':[{", "'vswitches':[{'name':'s1'},{", "error vswitches[2].name: there are two vSwitches"},
	{"'portgroups':[{", "'portgroups':[{'name':'web','vswitch':'s1'},{", "error portgroups[2].name: there are two port groups"},
	{"'name':'vmk1'", "'name':'vmk0'", "error vmknics[1].name: there are two VMkernel NICs"},
	{"'uplinks':['u1']", "'uplinks':[]", "warning uplinks[1]: no vSwitch uses uplink \"u1\""},
	{",{'name':'web','vswitch':'s1'", ",{'name':'web','vswitch':'s0'", "warning vswitches[1]: vSwitch \"s1\" has no port group"},
	{"10.0.2.15/24", "127.0.0.1/8", "error vmknics[0].address: 127.0.0.1 is a loopback address"},
	{"10.0.3.15/24", "224.0.0.1/24", "error vmknics[1].address: 224.0.0.1 is a multicast address"},
	{"10.0.3.15/24", "0.1.2.3/24", "error vmknics[1].address: 0.1.2.3 is not an address a host can have"},
	{"10.0.3.15/24", "255.255.255.255/24", "error vmknics[1].address: 255.255.255.255 is a broadcast"},
	{"10.0.3.15/24", "10.0.3.0/24", "error vmknics[1].address: 10.0.3.0 is the address of the subnet itself"},
	{"10.0.3.15/24", "10.0.3.255/24", "error vmknics[1].address: 10.0.3.255 is the broadcast address"},
	{"10.0.3.15/24", "10.0.2.15/24", "error vmknics[1].address: \"vmk0\" and \"vmk1\" have the same address 10.0.2.15"},
	{"10.0.3.15/24", "10.0.0.15/16", "error vmknics[1].address: \"vmk0\" and \"vmk1\" are in the same subnet 10.0.0.0/16"},
	{"'gateway':'10.0.2.2'", "'gateway':'10.0.4.2'", "error vmknics[0].gateway: the gateway 10.0.4.2 is not in the subnet 10.0.2.0/24"},
	{"'gateway':'10.0.2.2'", "'gateway':'10.0.2.15'", "error vmknics[0].gateway: the gateway 10.0.2.15 is the VMkernel NIC's own"},
	{"'gateway':'10.0.2.2'", "'gateway':'10.0.2.255'", "error vmknics[0].gateway: the gateway 10.0.2.255 is the broadcast"},
	{"'10.0.3.15/24'", "'10.0.3.15/24','gateway':'10.0.3.1'", "error vmknics[1].gateway: \"vmk0\" already has a gateway"},
	{"'10.0.3.15/24'", "'10.0.3.15/24','mtu':9000",
		"error vmknics[1].mtu: the MTU 9000 of \"vmk1\" is larger than the 1500 of uplink \"u1\""},
	{"'10.0.3.15/24'", "'10.0.3.15/24','mac':'52:54:00:aa:00:01'",
		"error vms[0].nics[0].mac: the MAC address 52:54:00:aa:00:01 is used twice"},
	{"52:54:00:aa:00:01", "52:54:00:12:34:56",
		"error vms[0].nics[0].mac: the MAC address 52:54:00:12:34:56 is used twice (it is also at uplinks[0].match.mac"},
	{"'server':'10.0.2.2'", "'server':'10.0.2.15'", "error datastores[0].nfs.server: 10.0.2.15 is this host's own address"},
	{"'server':'10.0.2.2'", "'server':'239.0.0.1'", "error datastores[0].nfs.server: 239.0.0.1 is a multicast"},
	{",'gateway':'10.0.2.2'", "",
		"error datastores[1].iscsi.portals[1]: 10.9.9.9 is in no subnet of a VMkernel NIC, and none has a gateway"},
	{"'/vol1'", "'vol1'", "error datastores[0].nfs.export: the export \"vol1\" does not begin"},
	{"'/vol1'", "'/vol1','nfs_port':1", "warning datastores[0].nfs: only one of nfs_port and mount_port is given"},
	{"'10.9.9.9'", "'10.0.3.2:3260'", "error datastores[1].iscsi.portals[1]: the portal is listed twice"},
	{"iqn.2026-01.lab:t1", "lab:t1", "error datastores[1].iscsi.target: the iSCSI name \"lab:t1\" does not begin"},
	{"iqn.2026-01.lab:t1", "iqn.2026-01.lab:T1",
		"error datastores[1].iscsi.target: the iSCSI name \"iqn.2026-01.lab:T1\" has a capital"},
	{"iqn.2026-01.lab:t1", "iqn.26-01.lab:t1",
		"error datastores[1].iscsi.target: the iSCSI name \"iqn.26-01.lab:t1\" does not have a year"},
	{"iqn.2026-01.lab:t1", "iqn.2026-01.lab:t_1",
		"error datastores[1].iscsi.target: the iSCSI name \"iqn.2026-01.lab:t_1\" has a character"},
	{"iqn.2026-01.lab:t1", "naa.01", "error datastores[1].iscsi.target: the iSCSI name \"naa.01\" does not have 16 or 32"},
	{"module:good", "module:short", "error datastores[1].iscsi.chap.secret: the CHAP secret has 5 characters"},
	{"'datastores':[{", "'datastores':[{'name':'ram','ram':{'size':'64MiB'}},{",
		"error datastores[3].name: there are two datastores called \"ram\""},
	{"'ram':{'size':'64MiB'}", "'nfs':{'server':'10.0.2.2','export':'/vol1'}",
		"error datastores[2].nfs.export: datastores \"nas1\" and \"ram\" are the same export"},
	{"'ram':{'size':'64MiB'}", "'iscsi':{'portals':['10.0.2.2'],'target':'iqn.2026-01.lab:t1','lun':1}",
		"error datastores[2].iscsi.lun: datastores \"san1\" and \"ram\" are the same logical unit"},
	{"'ram':{'size':'64MiB'}", "'ram':{'size':'1048577B'}", "error datastores[2].ram.size: the size is not a multiple of 4KiB"},
	{"'size':'4MiB'", "'size':'1048577B'", "error vms[1].disks[0].size: the size is not a multiple of 4KiB"},
	{"'size':'4MiB'", "'size':'65MiB'", "error vms[1].disks[0].size: the disks on RAM datastore \"ram\" need more than its 64 MiB"},
	{",'size':'4MiB'", "", "error vms[1].disks[0]: a file on RAM datastore \"ram\" needs the key \"size\""},
	{"'file':'x',", "", "error vms[1].disks[0].size: a disk on the whole of a RAM datastore is as large as it is found"},
	{"'file':'a.raw'", "'file':'a.raw','size':'1MiB'", "error vms[0].disks[1].size: a disk on an NFS datastore is as large"},
	{",'file':'a.raw'", "", "error vms[0].disks[1]: a disk on NFS datastore \"nas1\" needs the key \"file\""},
	{"'file':'a.raw'", "'file':'t.iso'", "error vms[1].disks[1]: the disk is also VM \"a\"'s"},
	{"{'datastore':'san1'}", "{'datastore':'nas1','file':'a.raw','read_only':true}",
		"warning datastores[1]: no VM uses datastore \"san1\""},
	{"{'datastore':'san1'}", "{'datastore':'san1'},{'datastore':'san1','read_only':true}",
		"error vms[0].disks[1]: VM \"a\" has this disk already (disks[0])"},
	{"{'datastore':'san1'}", "{'datastore':'san1','file':'a'}",
		"error vms[0].disks[0].file: \"san1\" is a logical unit (iSCSI): it has no files"},
	{"'nas1:vmlinuz'", "'san1:vmlinuz'", "error vms[0].boot.linux: \"san1\" is a logical unit (iSCSI)"},
	{"'nas1:vmlinuz'", "'ram:vmlinuz'", "error vms[0].boot.linux: \"ram\" is a RAM datastore: it is empty"},
	{"'module:k'", "'module:k','initrd':'module:i'", "error vms[1].boot.initrd: an initrd belongs to a Linux kernel"},
	{"'nas1:vmlinuz'", "'nas1:vmlinuz','modules':['module:i']", "error vms[0].boot.modules: modules belong to a Multiboot kernel"},
	{"'module:k'", "'module:k','modules':['san1:i']", "error vms[1].boot.modules[0]: \"san1\" is a logical unit"},
	{"'vlan':20}", "'vlan':20},{'name':'t','vswitch':'s1','vlan':20,'trunk':[30]}",
		"error portgroups[2].trunk: port group \"t\" has both vlan and trunk"},
	{"'vlan':20", "'vlan':20,'native':30", "error portgroups[1].native: port group \"web\" is no trunk"},
	{"'vlan':20}", "'vlan':20},{'name':'t','vswitch':'s1','trunk':['0-3']}", "error portgroups[2].trunk[0]: VLAN 0 cannot be tagged"},
	{"'vlan':20}", "'vlan':20},{'name':'t','vswitch':'s1','trunk':['1-3'],'native':2}",
		"error portgroups[2].native: VLAN 2 is the native VLAN and on the trunk's list"},
	{"'vlan':20}", "'vlan':20},{'name':'t','vswitch':'s1','trunk':['1-3','2-4']}",
		"warning portgroups[2].trunk[1]: VLAN 2 is listed twice"},
	{"'uplinks':[{", "'uplinks':[{'vlans':[5,'0-5'],", "warning uplinks[0].vlans[1]: VLAN 5 is listed twice"},
	{"{'name':'u1',", "{'name':'u1','vlans':[0,'21-30'],",
		"error portgroups[1].vlan: VLAN 20 of port group \"web\" is on no uplink's list"},
	{"'vlan':20", "'vlan':20,'mtu':9000",
		"error portgroups[1].mtu: the MTU 9000 of port group \"web\" is larger than the 1500 of uplink"},
	{"'vlan':20", "'vlan':20,'mtu':1400", "error vmknics[1].mtu: the MTU 1500 of \"vmk1\" is larger than the 1400 of port group"},
	{"'vlan':20", "'trunk':[20]", "error vmknics[1].portgroup: port group \"web\" is a trunk"},
	{"'name':'s0',", "'name':'s0','teaming':{'failback_delay':5},",
		"warning vswitches[0].teaming.failback_delay: the failback delay of vSwitch \"s0\" has no effect: there is no second "
		"uplink"},
	{"'name':'s0',", "'name':'s0','teaming':{'failback':false,'failback_delay':5},",
		"warning vswitches[0].teaming.failback_delay: the failback delay of vSwitch \"s0\" has no effect: failback is false"},
	{"'name':'s0',", "'name':'s0','teaming':{'load_balancing':'mac'},",
		"warning vswitches[0].teaming.load_balancing: there is nothing to balance: vSwitch \"s0\" has one active uplink"},
	{"'name':'s0',", "'name':'s0','teaming':{'standby':['u1'],'active':['u0']},",
		"error vswitches[0].teaming.standby[0]: uplink \"u1\" does not belong to vSwitch \"s0\""},
	{"'name':'s0',", "'name':'s0','teaming':{'standby':['u0']},", "error vswitches[0].teaming: vSwitch \"s0\" has no active uplink"},
	{"'name':'s0',", "'name':'s0','teaming':{'active':['u0'],'standby':['u0']},",
		"error vswitches[0].teaming.standby[0]: uplink \"u0\" is both active and standby"},
	{"'name':'s0',", "'name':'s0','teaming':{'active':['u0'],'unused':['u0']},",
		"error vswitches[0].teaming.unused[0]: uplink \"u0\" is both active and unused"},
	{"'name':'s0',", "'name':'s0','teaming':{'active':['u0','u0']},",
		"error vswitches[0].teaming.active[1]: uplink \"u0\" is listed twice"},
	{TWO, TEAM("{'active':['u0']}"),
		"warning vswitches[0].teaming: uplink \"u1\" is in none of the lists, so vSwitch \"s0\" does not use"},
	{TWO, TEAM("{'load_balancing':'ip-hash','standby':['u1']}"),
		"error vswitches[0].teaming.standby: vSwitch \"s0\" has uplink \"u1\" on standby, but with ip-hash"},
	{TWO, TEAM("{'failure_detection':'beacon','load_balancing':'ip-hash'}"),
		"error vswitches[0].teaming.failure_detection: beacons cannot tell the uplinks of vSwitch \"s0\" apart"},
	{TWO, TEAM("{'standby':['u1']},'lacp':{}"), "error vswitches[0].teaming: vSwitch \"s0\" lists uplinks, but LACP decides"},
	{TWO, TEAM("{'load_balancing':'mac'},'lacp':{}"),
		"error vswitches[0].teaming.load_balancing: the uplinks of vSwitch \"s0\" are an aggregate (LACP)"},
	{TWO, TEAM("{'failback':true},'lacp':{}"), "warning vswitches[0].teaming.failback: it has no effect: LACP brings"},
	{TWO, TEAM("{'failure_detection':'beacon'},'lacp':{}"), "error vswitches[0].teaming.failure_detection: beacons cannot tell"},
	{TWO, TEAM("{'failure_detection':'beacon'}"),
		"warning vswitches[0].teaming.failure_detection: with two uplinks, \"s0\" often cannot"},
	{TWO, TEAM("{'failure_detection':'link'},'beacon':{'loss':4}"),
		"warning vswitches[0].beacon: no port group of \"s0\" uses beacons"},
	{"'name':'s0',", "'name':'s0','teaming':{'failure_detection':'beacon'},",
		"warning vswitches[0].teaming.failure_detection: \"s0\" has one uplink: it hears no beacons"},
	{"}}]," TWO, "},'vlans':[0,'20-30']}]," TEAM("{'failure_detection':'beacon'},'beacon':{'vlan':7}"),
		"error vswitches[0].beacon.vlan: uplink \"u1\" does not carry the VLAN 7 of the beacons"},
	{TWO,
		"'vswitches':[{'name':'s0','uplinks':['u0','u1']},{'name':'s9','lacp':{}}],'portgroups':[{'name':'storage','vswitch':'s0'},"
		"{'name':'web','vswitch':'s0','vlan':20},{'name':'x','vswitch':'s9'}]",
		"warning vswitches[1].lacp: LACP has no effect: vSwitch \"s9\" has no uplink"},
	{TWO, TWO_UPLINKS "{'name':'web','vswitch':'s0','vlan':20,'teaming':{'load_balancing':'ip-hash'}}]",
		"error portgroups[1].teaming: uplink \"u0\" is part of a channel (ip-hash) for one of port group \"storage\" and port "
		"group"},
	{"}}]," TWO, "},'vlans':['1-30']}]," TEAM("{'failback':true}"),
		"error portgroups[0]: port group \"storage\" uses uplink \"u1\", which does not carry its VLAN 0"},
	{"'vlan':20", "'vlan':20,'teaming':{'unused':['u1']}", "error portgroups[1].teaming: port group \"web\" has no active uplink"},
	{MIRROR("{'port':'a.nic1'}", "'capture':'1MiB'"), "error mirrors[0].sources[0].port: there is no port \"a.nic1\""},
	{MIRROR("{'port':'vmk0'}", "'capture':'1MiB'"), "error mirrors[0].sources[0].port: port \"vmk0\" is on vSwitch \"s0\", not \"s1\""},
	{MIRROR("{'port':'a.nic0'}", "'port':'a.nic0'"), "error mirrors[0].sources[0].port: port \"a.nic0\" is the session's destination"},
	{MIRROR("{'portgroup':'storage'}", "'capture':'1MiB'"),
		"error mirrors[0].sources[0].portgroup: port group \"storage\" is on vSwitch \"s0\", not \"s1\""},
	{MIRROR("{'uplink':'u0'}", "'capture':'1MiB'"), "error mirrors[0].sources[0].uplink: uplink \"u0\" is not one of vSwitch \"s1\""},
	{MIRROR("{'vlan':20,'direction':'in'}", "'capture':'1MiB'"), "error mirrors[0].sources[0].direction: a VLAN has no direction"},
	{MIRROR("{'vlan':21}", "'capture':'1MiB'"), "warning mirrors[0].sources[0].vlan: no port group of vSwitch \"s1\" has VLAN 21"},
	{MIRROR("{'portgroup':'web'}", "'port':'c.nic0'"), "error mirrors[0].destination.port: there is no port \"c.nic0\""},
	{MIRROR("{'portgroup':'web'}", "'port':'vmk1'"), "error mirrors[0].destination.port: \"vmk1\" is the host's own"},
	{MIRROR("{'portgroup':'web'}", "'capture':'1MiB'},'filter':{'protocol':'icmp','port':7"),
		"error mirrors[0].filter.port: ICMP has no ports"},
	{MIRROR("{'portgroup':'web'}", "'capture':'1MiB'},'filter':{'protocol':'arp','address':'fe80::1'"),
		"error mirrors[0].filter.address: ARP carries IPv4 addresses only"},
	{MIRROR("{'uplink':'u1'}",
		 "'capture':'1MiB'}},{'name':'m','vswitch':'s1','sources':[{'uplink':'u1'}],'destination':{'capture':'1MiB'"),
		"error mirrors[1].name: there are two mirror sessions called \"m\""},
	{"10.0.3.15/24", "10.0.3.15/32", "error vmknics[1].address: \"vmk1\" has no neighbour: the subnet 10.0.3.15/32"},
	{"{'name':'s1','uplinks':['u1']}", "{'name':'s1','uplinks':['u1']},{'name':'s2','discovery':'both'}",
		"warning vswitches[2].discovery: discovery has no effect: vSwitch \"s2\" has no uplink"},
	{"{'name':'s1','uplinks':['u1']}", "{'name':'s1','uplinks':['u1']},{'name':'s2','snooping':true}",
		"warning vswitches[2].snooping: snooping filters only where a querier is, and vSwitch \"s2\" has no uplink to one"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[{'name':'p','"
		"vswitch':'s1','private_vlan':102},{'name':'q','vswitch':'s1','private_vlan':101},",
		"error portgroups[0].private_vlan: VLAN 102 is in no private VLAN of \"s1\""},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[{'name':'p','"
		"vswitch':'s1','private_vlan':101,'vlan':5},",
		"error portgroups[0].private_vlan: port group \"p\" has both private_vlan and vlan"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[{'name':'p','"
		"vswitch':'s1','private_vlan':101},{'name':'q','vswitch':'s1','vlan':111},",
		"error portgroups[1].vlan: VLAN 111 is part of a private VLAN of \"s1\" (write private_vlan: 111)"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[{'name':'p','"
		"vswitch':'s1','private_vlan':101},{'name':'q','vswitch':'s1','trunk':['90-105']},",
		"error portgroups[1].trunk: VLAN 100 is part of a private VLAN"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[{'name':'p','"
		"vswitch':'s1','private_vlan':101},{'name':'q','vswitch':'s1','trunk':[5],'native':110},",
		"error portgroups[1].native: VLAN 110 is part of a private VLAN"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[{'name':'p','"
		"vswitch':'s1','private_vlan':101,'policy':{'promiscuous':true}},",
		"warning portgroups[0].policy.promiscuous: guests on \"p\" may see what promiscuous ports send"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']},{'primary':200,'isolated':110}]"
		"}],'portgroups':[{'name':'p','vswitch':'s1','private_vlan':101},{'name':'q','vswitch':'s1','private_vlan':200},",
		"error vswitches[1].private_vlans[1]: VLAN 110 has two places in the private VLANs of \"s1\""},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':100}]}],'portgroups':[{'name':'p','vswitch':'s1','private_"
		"vlan':100},",
		"error vswitches[1].private_vlans[0]: VLAN 100 has two places"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'communities':['1000-1100']}]}],'portgroups':[{'name':'p','vswitch':'s1',"
		"'private_vlan':100},",
		"error vswitches[1].private_vlans[0].communities: private VLAN 100 has 101 communities; at most 32"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'communities':['0-3']}]}],'portgroups':[{'name':'p','vswitch':'s1','"
		"private_vlan':100},",
		"error vswitches[1].private_vlans[0].communities: VLAN 0 cannot be a community"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100}]}],'portgroups':[{'name':'p','vswitch':'s1','private_vlan':100},",
		"warning vswitches[1].private_vlans[0]: private VLAN 100 has no secondary VLAN"},
	{"'uplinks':['u1']}],'portgroups':[",
		"'uplinks':['u1'],'private_vlans':[{'primary':100,'isolated':101,'communities':['110-111']}]}],'portgroups':[",
		"warning vswitches[1].private_vlans[0]: no port group is in private VLAN 100"},
	{"'vlan':20", "'vlan':20,'shaping':{'ingress':{'average':1000,'burst':'1KiB'}}",
		"error portgroups[1].shaping.ingress.burst: the burst of 1024 bytes is smaller than a frame of 1514"},
	{"'vlan':20", "'vlan':20,'shaping':{'egress':{'average':1000}}",
		"error portgroups[1].shaping.egress: a rate needs the key \"burst\""},
	{"'vlan':20", "'vlan':20,'shaping':{'egress':{'average':1000,'peak':999,'burst':'64KiB'}}",
		"error portgroups[1].shaping.egress.peak: the peak rate of 999 kbit/s is lower than the average"},
	{"'vlan':20", "'vlan':20,'shaping':{'egress':{'average':1000,'peak':1000,'burst':'64KiB'}}",
		"warning portgroups[1].shaping.egress.peak: the burst has no effect"},
	{"'vlan':20", "'vlan':20,'shaping':{'egress':{'average':1000000,'burst':'64KiB'}}",
		"warning portgroups[1].shaping.egress.burst: with a burst of 65536 bytes the average of 1000000 kbit/s may not be reached"},
	{"'vlan':20", "'vlan':20,'shaping':{'egress':{'average':0,'burst':'64KiB'}}",
		"warning portgroups[1].shaping.egress: an average of 0 is no limit"},
	{"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01'",
		"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01','shaping':{'egress':{'average':1000,'burst':'1514B','peak':2}}",
		"error vms[0].nics[0].shaping.egress.peak: the peak"},
	{"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01'", "'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01','trusted':true",
		"warning vms[0].nics[0].trusted: port group \"web\" has no guard"},
	{"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01'",
		"'nics':[{'portgroup':'web','mac':'52:54:00:aa:00:01','addresses':['10.0.3.20']",
		"warning vms[0].nics[0].addresses: port group \"web\" has no ARP guard"},
	{"'vlan':20", "'vlan':20,'guard':{'arp':true}", "warning portgroups[1].guard: without the guard on servers"},
	{"'vlan':20", "'vlan':20,'guard':{'servers':true,'arp':true},'policy':{'forged_transmits':true}",
		"warning portgroups[1].policy.forged_transmits: the ARP guard of \"web\" drops ARP of guests behind a guest"},
	{"{'name':'s1','uplinks':['u1']}],'portgroups':[",
		"{'name':'s1','uplinks':['u1']},{'name':'s2','teaming':{'load_balancing':'mac'}}],'portgroups':[{'name':'in','vswitch':'s2'"
		"},",
		"warning vswitches[2].teaming: teaming has no effect: vSwitch \"s2\" has no uplink"},
	{"'name':'b'", "'name':'a'", "error vms[1].name: there are two VMs called \"a\""},
	{"'2MiB'", "'2049KiB'", "error vms[1].memory: the memory of \"b\" is not a multiple of 2MiB (write 2MiB or 4MiB)"},
};

static char *changed_in(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	assert_non_null(at);
	char *json = malloc(strlen(text) + strlen(to) + 1);
	sprintf(json, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return json;
}

static char *changed(const char *from, const char *to)
{
	return changed_in(good, from, to);
}

static int check(const char *json)
{
	int result;
	struct config *config = collect_read(json, &problems, &result);
	assert_string_equal(problems.text, "");
	assert_int_equal(result, 0);
	struct config_sink sink = collect_sink(&problems);
	result = config_check(config, &sink);
	free(config);
	return result;
}

static void good_passes(void **state)
{
	assert_int_equal(check(good), 0);
	assert_string_equal(problems.text, "");
}

/* Two changes are needed for it: a guard, and the address at two NICs. */
static void an_address_belongs_to_one_nic(void **state)
{
	static const char expected[] =
		"error vms[0].nics[1].addresses[0]: the address 10.0.3.20 is used twice (it is also at vms[0].nics[0])";
	char *guarded = changed("'vlan':20", "'vlan':20,'guard':{'servers':true,'arp':true}");
	char *json = changed_in(guarded, "'mac':'52:54:00:aa:00:01'",
		"'mac':'52:54:00:aa:00:01','addresses':['10.0.3.20']},{'portgroup':'web','addresses':['10.0.3.20']");
	assert_int_equal(check(json), -EINVAL);
	assert_int_equal(strncmp(problems.text, expected, strlen(expected)), 0);
	free(json);
	free(guarded);
}

static void rules_fire(void **state)
{
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		char *json = changed(rules[i].from, rules[i].to);
		int result = check(json);
		if (strncmp(problems.text, rules[i].expected, strlen(rules[i].expected)) != 0)
			fail_msg("rule %u (%s -> %s):\nexpected %s\ngot %s", i, rules[i].from, rules[i].to, rules[i].expected,
				problems.text);
		assert_int_equal(result, problems.errors ? -EINVAL : 0);
		assert_true(problems.errors + problems.warnings > 0);
		free(json);
	}
}

static void no_mirroring_to_a_trunk(void **state)
{
	char *json = changed("{'name':'web',", "{'name':'t','vswitch':'s1','trunk':[30]},{'name':'web',"), *with;
	char *at = strstr(json, "{'portgroup':'web','mac'");
	memcpy(at, "{'portgroup':'t'  ,'mac'", 24);
	at = strstr(json, "'vms':[");
	with = malloc(strlen(json) + 200);
	sprintf(with, "%.*s'mirrors':[{'name':'m','vswitch':'s1','sources':[{'uplink':'u1'}],'destination':{'port':'a.nic0'}}],%s",
		(int)(at - json), json, at);
	assert_int_equal(check(with), -EINVAL);
	assert_non_null(strstr(problems.text, "error mirrors[0].destination.port: port \"a.nic0\" is on the trunk \"t\""));
	free(with);
	free(json);
}

static void read_only_may_be_shared(void **state)
{
	char *json = changed("'file':'a.raw'", "'file':'t.iso','read_only':true");
	assert_int_equal(check(json), 0);
	assert_string_equal(problems.text, "");
	free(json);
}

static void needs_a_vmknic(void **state)
{
	assert_int_equal(check("{'host':{'name':'h'},'datastores':[{'name':'n','nfs':{'server':'10.0.0.1','export':'/'}}],"
			       "'vms':[{'name':'a','memory':'2MiB','boot':{'linux':'n:k'}}]}"),
		-EINVAL);
	assert_string_equal(problems.text, "error datastores[0].nfs.server: the host has no VMkernel NIC to reach 10.0.0.1 from "
					   "(add a VMkernel NIC under \"vmknics\")\n");
}

/* Changes in two places. */
static void uplinks_of_one_vswitch_share_an_mtu(void **state)
{
	char *json = changed("'uplinks':['u0']}", "'uplinks':['u0','u2']}"), *more = malloc(strlen(json) + 100);
	sprintf(more, "{'host':{'name':'hv1'},'uplinks':[{'name':'u2','match':{'pci':'0000:00:05.0'},'mtu':9000},%s",
		strstr(json, "'uplinks':[") + strlen("'uplinks':["));
	assert_int_equal(check(more), 0);
	assert_non_null(
		strstr(problems.text, "warning uplinks[0].mtu: the MTU 9000 of uplink \"u2\" and the 1500 of \"u0\" differ: vSwitch \"s0\" "
				      "carries the smaller (give the uplinks of a vSwitch the same MTU)"));
	free(json);
	free(more);
}

static void a_switch_has_so_many_vlans(void **state)
{
	assert_int_equal(check("{'host':{'name':'h'},'vswitches':[{'name':'s0'},{'name':'s1'},{'name':'s2'}],'portgroups':["
			       "{'name':'t0','vswitch':'s0','trunk':['1-4094']},{'name':'t1','vswitch':'s1','trunk':['1-4094']},"
			       "{'name':'t2','vswitch':'s2','trunk':['1-4094']}]}"),
		-EINVAL);
	assert_non_null(strstr(problems.text, "error portgroups: the vSwitches have 12282 VLANs; at most 8192 are supported"));
}

static void a_switch_has_so_many_ports(void **state)
{
	char *json = malloc(1 << 17);
	size_t n = (size_t)sprintf(json,
		"{'host':{'name':'h'},'uplinks':[{'name':'u','match':{'pci':'0000:00:02.0'}}],'vswitches':[{'name':'s','uplinks':['u']}],"
		"'portgroups':[{'name':'p','vswitch':'s'}],'vms':[");
	for (unsigned v = 0; v < 64; v++) {
		n += (size_t)sprintf(json + n, "%s{'name':'v%u','memory':'2MiB','boot':{'linux':'module:k'},'nics':[", v ? "," : "", v);
		for (unsigned k = 0; k < 8; k++)
			n += (size_t)sprintf(json + n, "%s{'portgroup':'p'}", k ? "," : "");
		n += (size_t)sprintf(json + n, "]}");
	}
	sprintf(json + n, "]}");
	assert_int_equal(check(json), -EINVAL);
	assert_non_null(
		strstr(problems.text, "error vms: the host has 513 NICs of VMs, VMkernel NICs and uplinks; its switch has 512 ports"));
	free(json);
}

static void vmk_needs_an_uplink(void **state)
{
	char *json = changed("'uplinks':['u1']", "'uplinks':[]");
	assert_int_equal(check(json), -EINVAL);
	assert_non_null(
		strstr(problems.text, "error vmknics[1].portgroup: port group \"web\" leads nowhere: its vSwitch \"s1\" has no uplink"));
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_passes),
		cmocka_unit_test(rules_fire),
		cmocka_unit_test(an_address_belongs_to_one_nic),
		cmocka_unit_test(no_mirroring_to_a_trunk),
		cmocka_unit_test(read_only_may_be_shared),
		cmocka_unit_test(needs_a_vmknic),
		cmocka_unit_test(vmk_needs_an_uplink),
		cmocka_unit_test(uplinks_of_one_vswitch_share_an_mtu),
		cmocka_unit_test(a_switch_has_so_many_vlans),
		cmocka_unit_test(a_switch_has_so_many_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
