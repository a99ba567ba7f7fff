# small-input.sh - a data set like the demo's, small and made up, for the tests. Sourced by bash.

# Two databases; values from nothing to 60 KB, keys of all lengths, every byte value.
small_input() {
    LC_ALL=C awk '
    function hex(text, length_wanted,    out, i) {
        out = ""
        for (i = 1; length(out) < 2 * length_wanted; i++)
            out = out sprintf("%02x", (i * 7 + text * 13) % 256)
        return substr(out, 1, 2 * length_wanted)
    }
    function header(name) {
        print "VERSION=3\nformat=bytevalue\ndatabase=" name
        print "type=btree\nmapsize=268435456\nmaxreaders=126\nHEADER=END"
    }
    BEGIN {
        header("words")
        for (i = 0; i < 5000; i++)
            print " " hex(i * 7919 % 5000, 8) sprintf("%08x", i) "\n " hex(i, i % 40)
        print "DATA=END"
        header("packages")
        for (i = 0; i < 1000; i++)
            print " " sprintf("%08x", i * 523 % 1000) hex(i, i % 500) "\n " hex(i, (i % 50 ? i : i * 60))
        print "DATA=END"
    }'
}
