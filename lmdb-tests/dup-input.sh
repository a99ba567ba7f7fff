# dup-input.sh - a made-up data set with every kind of duplicates, as mdb_load reads it. Sourced by
# bash.

# Keys with one item, some, and 3,000; items of all lengths, of one length, and numbers.
dup_input() {
    LC_ALL=C awk '
    function hex(text, length_wanted,    out, i) {
        out = ""
        for (i = 1; length(out) < 2 * length_wanted; i++)
            out = out sprintf("%02x", (i * 7 + text * 13) % 256)
        return substr(out, 1, 2 * length_wanted)
    }
    function number(value) {
        return sprintf("%02x%02x%02x%02x", value % 256, int(value / 256) % 256,
            int(value / 65536) % 256, int(value / 16777216) % 256)
    }
    function header(name, flags) {
        print "VERSION=3\nformat=bytevalue\ndatabase=" name
        print "type=btree\nmapsize=268435456\nmaxreaders=126\nduplicates=1"
        print flags (flags == "" ? "" : "\n") "dupsort=1\nHEADER=END"
    }
    BEGIN {
        header("words", "")
        for (i = 0; i < 4000; i++)
            print " " sprintf("%08x", i * 7919 % 400) "\n " hex(i, 1 + i % 300)
        print "DATA=END"
        header("backwards", "reversekey=1\nreversedup=1")
        for (i = 0; i < 1000; i++)
            print " " hex(i % 77, 9) "\n " hex(i * 31, 12)
        print "DATA=END"
        header("fixed", "dupfixed=1")
        for (i = 0; i < 3000; i++)
            print " " hex(1, 7) "\n " sprintf("%016x", i * 7919 % 3000)
        for (i = 0; i < 500; i++)
            print " " hex(i % 50, 3) "\n " sprintf("%016x", i)
        print "DATA=END"
        header("numbers", "dupfixed=1\nintegerkey=1\nintegerdup=1")
        for (i = 0; i < 2000; i++)
            print " " number(i % 40) "\n " number(i * 65537)
        print "DATA=END"
    }' | sed '/^$/d'
}
