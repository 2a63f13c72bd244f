# db1: its disk is the iSCSI LUN. First fio, then iperf3 to web1 in port group `web`.
. /job/fio-jobs.sh
fio_all /dev/vda || exit 1
mark meet iperf

iperf_run() { # name, iperf3 arguments ...
	name=$1
	shift
	mark begin "$name"
	if ! iperf3 -c 192.168.20.2 -f m "$@" > /tmp/iperf.out 2>&1; then
		echo "@fail iperf3 $name: $(tail -n 1 /tmp/iperf.out)"
		return 1
	fi
	echo "@iperf $name $(grep receiver /tmp/iperf.out | tail -n 1)"
	mark end "$name"
}
if [ -n "$SMALL" ]; then
	iperf_run tcp-to-web1 -n 4M &&
	iperf_run tcp-from-web1 -n 4M -R || exit 1
else
	iperf_run tcp-to-web1 -t 4 &&
	iperf_run tcp-from-web1 -t 4 -R &&
	iperf_run udp-to-web1 -u -b 50M -t 3 || exit 1
fi
mark meet done
