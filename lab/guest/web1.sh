# web1: its disk is a file on the NFS export. First fio, then the far end of iperf3 until db1 says it is done.
. /job/fio-jobs.sh
fio_all /dev/vda || exit 1
iperf3 -s -D > /dev/null 2>&1
mark meet iperf
mark meet done
