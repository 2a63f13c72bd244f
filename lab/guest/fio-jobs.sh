# The disk half of the main job, sourced by a guest's job script: fio on $1, with the host's counters taken around each run.
# Each line that starts with "@fio" carries one run's result, of reads then of writes: KiB, KiB/s, IOPS, mean completion latency in us. fio's terse
# line holds them among a hundred fields (version 3 of the format), too many for one line of the host's log. With SMALL set: a slow machine's share.
fio_run() { # name, disk, fio arguments ...
	name=$1 disk=$2
	shift 2
	mark begin "$name"
	if ! fio --name="$name" --filename="$disk" --ioengine=libaio --direct=1 --minimal --terse-version=3 "$@" > /tmp/fio.out 2> /tmp/fio.err; then
		echo "@fail fio $name: $(tail -n 4 /tmp/fio.err | tr '\n' ' ' | cut -c1-300); $(tail -n 1 /tmp/fio.out | cut -c1-200)"
		return 1
	fi
	echo "@fio $name $(tail -n 1 /tmp/fio.out | cut -d ';' -f 6-8,16,47-49,57)"
	mark end "$name"
}

fio_all() { # disk
	verify="--verify=crc32c --verify_fatal=1 --do_verify=1"
	if [ -n "$SMALL" ]; then
		fio_run randread-4k-qd1 "$1" --rw=randread --bs=4k --size=2m --iodepth=1 --io_size=512k --norandommap &&
		fio_run randread-4k-qd16 "$1" --rw=randread --bs=4k --size=2m --iodepth=16 --io_size=1m --norandommap &&
		fio_run randwrite-4k-qd16 "$1" --rw=randwrite --bs=4k --size=1m --iodepth=16 --fdatasync=64 $verify
		return
	fi
	fio_run write-1m-seq "$1" --rw=write --bs=1m --size=32m --iodepth=4 $verify &&
	fio_run read-1m-seq "$1" --rw=read --bs=1m --size=32m --iodepth=4 &&
	fio_run randread-4k-qd1 "$1" --rw=randread --bs=4k --size=32m --iodepth=1 --io_size=4m --norandommap &&
	fio_run randread-4k-qd16 "$1" --rw=randread --bs=4k --size=32m --iodepth=16 --io_size=8m --norandommap &&
	fio_run randwrite-4k-qd1 "$1" --rw=randwrite --bs=4k --size=4m --iodepth=1 $verify &&
	fio_run randwrite-4k-qd16 "$1" --rw=randwrite --bs=4k --size=8m --iodepth=16 --fdatasync=64 $verify
}
