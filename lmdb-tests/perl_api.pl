#!/usr/bin/perl
# perl_api.pl DIRECTORY LIBRARY plain|orders|duplicates - LMDB_File through its documented interface.
#
# Prints a transcript, a line a call, that must be the same whatever library the loader finds; LIBRARY
# is the one expected, and the process's own memory map is asked. Page counts are left out.
use strict;
use warnings;
use Cwd qw(realpath);
use LMDB_File qw(:flags :cursor_op :error :version);

my ($root, $library, $part) = @ARGV;
my $section = '';
$LMDB_File::die_on_err = 1;

sub plain_value {
    my ($value) = @_;
    return 'undef' unless defined $value;
    if (ref $value eq 'HASH') {
        my %hidden = map { $_ => 1 } qw(branch_pages leaf_pages overflow_pages last_pgno mapaddr depth);
        return '{' . join(', ', map { "$_ " . plain_value($value->{$_}) }
            grep { !$hidden{$_} } sort keys %$value) . '}';
    }
    return '[' . join(', ', map { plain_value($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return ref $value if ref $value;
    $value =~ s/\Q$root\E/ROOT/g;
    $value =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return length $value > 80 ? substr($value, 0, 40) . '... ' . length $value : $value;
}

sub show {
    my ($label, $call) = @_;
    my @value = eval { $call->() };
    my $error = $@;
    $error =~ s/ at \S+ line \d+\.?\n.*//s;
    print "$section: $label -> ", ($error ne '' ? "died: " . plain_value($error)
        : plain_value(\@value)), "\n";
    return $value[0];
}

sub directory {
    my ($name) = @_;
    mkdir "$root/$name";
    return "$root/$name";
}

sub everything {
    my ($db) = @_;
    my $cursor = $db->Cursor;
    my ($op, @all) = (MDB_FIRST);
    while (eval { $cursor->get(my $key, my $data, $op); push @all, "$key=$data"; 1 }) {
        $op = MDB_NEXT;
    }
    return @all > 30 ? (@all[0 .. 3], '... ' . @all, @all[-4 .. -1]) : @all;
}

sub environment {
    $section = 'environment';
    my $env = LMDB::Env->new(directory('env'), { mapsize => 1 << 24, maxdbs => 5, maxreaders => 9 });
    show 'version', sub { scalar LMDB_File::version(my $major, my $minor, my $patch) };
    show 'stat', sub { $env->stat };
    show 'info', sub { $env->info };
    show 'sync', sub { $env->sync(1) };
    show 'get_flags', sub { $env->get_flags(my $flags); $flags };
    show 'set_flags', sub { $env->set_flags(MDB_NOSYNC, 1); $env->get_flags(my $flags); $flags };
    show 'clear flags', sub { $env->set_flags(MDB_NOSYNC, 0); $env->get_flags(my $flags); $flags };
    show 'wrong flags', sub { $env->set_flags(MDB_NOTLS, 1) };
    show 'get_path', sub { $env->get_path(my $path); $path };
    show 'get_maxreaders', sub { $env->get_maxreaders(my $readers); $readers };
    show 'get_maxkeysize', sub { $env->get_maxkeysize };
    {
        my $txn = $env->BeginTxn;
        my $db = $txn->OpenDB;
        $db->put("k$_", 'v' x $_) for 1 .. 200;
        $txn->commit;
    }
    show 'stat', sub { $env->stat };
    show 'info', sub { $env->info };
    show 'copy', sub { $env->copy(directory('copy')) };
    show 'copy again', sub { $env->copy(directory('copy')) };
    show 'copy to nowhere', sub { $env->copy("$root/no/where") };
    open my $file, '>', "$root/copied.fd" or die;
    show 'copyfd', sub { $env->copyfd($file) };
    close $file;
    my $copy = LMDB::Env->new("$root/copied.fd", { flags => MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK });
    {
        my $txn = $copy->BeginTxn(MDB_RDONLY);
        show 'content of the copy', sub { everything($txn->OpenDB) };
    }
    show 'missing', sub { LMDB::Env->new("$root/nowhere") };
}

sub transactions {
    $section = 'transaction';
    my $env = LMDB::Env->new(directory('txn'), { mapsize => 1 << 24, maxdbs => 5 });
    my $txn = $env->BeginTxn;
    my $db = $txn->OpenDB(undef, MDB_CREATE);
    show 'id', sub { $txn->id };
    show 'put', sub { $db->put('a', 1) };
    show 'put again', sub { $db->put('a', 2) };
    show 'put, NOOVERWRITE', sub { my $data = 3; eval { $db->put('a', $data, MDB_NOOVERWRITE) }; $@ ? "failed, $data" : 0 };
    show 'put, APPEND', sub { $db->put('b', 1, MDB_APPEND) };
    show 'put, APPEND lower', sub { $db->put('aa', 1, MDB_APPEND) };
    show 'put empty', sub { $db->put('c', '') };
    show 'put empty key', sub { $db->put('', 'x') };
    show 'put long key', sub { $db->put('k' x 512, 'x') };
    show 'put longest key', sub { $db->put('k' x 511, 'x' x 9000) };
    show 'get', sub { $db->get('a') };
    show 'get missing', sub { $db->get('none') };
    show 'del', sub { $db->del('b') };
    show 'del missing', sub { $db->del('b') };
    show 'flags', sub { $db->flags };
    show 'stat', sub { $db->stat };
    show 'Alive', sub { $db->Alive ? 1 : 0 };
    my $child = show 'SubTxn', sub { $txn->SubTxn };
    {
        my $inner = $child->OpenDB;
        show 'child puts', sub { $inner->put('child', 1) };
        show 'parent gets', sub { $db->get('a') };
        show 'child commits', sub { $child->commit };
    }
    show 'content', sub { everything($db) };
    $child = $txn->SubTxn;
    {
        my $inner = $child->OpenDB;
        show 'child deletes', sub { $inner->del('child') };
        show 'child aborts', sub { $child->abort };
    }
    show 'content', sub { everything($db) };
    show 'commit', sub { $txn->commit };
    show 'commit again', sub { $txn->commit };
    my $reader = $env->BeginTxn(MDB_RDONLY);
    my $view = $reader->OpenDB;
    show 'reader puts', sub { $view->put('x', 1) };
    show 'reset', sub { $reader->reset };
    show 'renew', sub { $reader->renew };
    show 'content', sub { everything($view) };
    show 'abort', sub { $reader->abort };
    for my $commit (0, 1) {
        my $automatic = $env->BeginTxn;
        $automatic->AutoCommit($commit);
        $automatic->OpenDB->put("auto$commit", 1);
    }
    $reader = $env->BeginTxn(MDB_RDONLY);
    show 'AutoCommit', sub { everything($reader->OpenDB) };
    $reader->abort;
}

sub databases {
    $section = 'database';
    my $env = LMDB::Env->new(directory('dbs'), { mapsize => 1 << 24, maxdbs => 3 });
    my $txn = $env->BeginTxn;
    show 'missing', sub { $txn->OpenDB('none') };
    my $one = $txn->OpenDB({ dbname => 'one', flags => MDB_CREATE });
    my $two = $txn->OpenDB('two', MDB_CREATE | MDB_REVERSEKEY);
    my $three = $txn->OpenDB('three', MDB_CREATE | MDB_INTEGERKEY);
    show 'one too many', sub { $txn->OpenDB('four', MDB_CREATE) };
    show 'handles', sub { map { $_->dbi } $one, $two, $three };
    show 'flags', sub { map { $_->flags } $one, $two, $three };
    for my $number (300, 2, 70000, 1, 256) {
        $one->put($number, 1);
        $two->put($number, 2);
        $three->put($number, 3);
    }
    show 'one', sub { everything($one) };
    show 'two', sub { everything($two) };
    show 'three', sub { map { unpack('H*', $_) } everything($three) };
    show 'names', sub { map { s/=.*//s; $_ } everything($txn->OpenDB) };
    show 'drop, keep', sub { $one->drop };
    show 'empty', sub { everything($one) };
    show 'drop', sub { $two->drop(1) };
    show 'names', sub { map { s/=.*//s; $_ } everything($txn->OpenDB) };
    show 'low level', sub {
        my $dbi = $txn->open('one');
        $txn->put($dbi, 'low', 'level');
        $txn->get($dbi, 'low', my $data);
        $data;
    };
    show 'commit', sub { $txn->commit };
}

sub move {
    my ($cursor, $op, $key, $data) = @_;
    $cursor->get($key, $data, $op);
    return "$key=$data";
}

sub cursors {
    $section = 'cursor';
    my $env = LMDB::Env->new(directory('cursors'), { mapsize => 1 << 24 });
    my $txn = $env->BeginTxn;
    my $db = $txn->OpenDB;
    $db->put(sprintf('k%04d', $_), "v$_") for map { $_ * 10 } 0 .. 300;
    my $cursor = $db->Cursor;
    my %op = (FIRST => MDB_FIRST, NEXT => MDB_NEXT, PREV => MDB_PREV, LAST => MDB_LAST,
        GET_CURRENT => MDB_GET_CURRENT, NEXT_NODUP => MDB_NEXT_NODUP, PREV_NODUP => MDB_PREV_NODUP);
    show 'not positioned', sub { move($cursor, MDB_GET_CURRENT) };
    for my $name (qw(FIRST NEXT NEXT PREV PREV PREV LAST NEXT PREV GET_CURRENT NEXT_NODUP PREV_NODUP)) {
        show $name, sub { move($cursor, $op{$name}) };
    }
    show 'SET', sub { move($cursor, MDB_SET, 'k0500') };
    show 'SET_KEY', sub { move($cursor, MDB_SET_KEY, 'k0510') };
    show 'SET_RANGE', sub { move($cursor, MDB_SET_RANGE, 'k0511') };
    show 'SET missing', sub { move($cursor, MDB_SET, 'k0511') };
    show 'SET_RANGE beyond', sub { move($cursor, MDB_SET_RANGE, 'z') };
    show 'put', sub { $cursor->put('k0505', 'new') };
    show 'GET_CURRENT', sub { move($cursor, MDB_GET_CURRENT) };
    show 'put, CURRENT', sub { $cursor->put('k0505', 'newer', MDB_CURRENT) };
    show 'put, NOOVERWRITE', sub { my $data = 'newest'; eval { $cursor->put('k0505', $data, MDB_NOOVERWRITE) };
        $@ ? "failed, $data" : 0 };
    show 'del', sub { $cursor->del };
    show 'NEXT', sub { move($cursor, MDB_NEXT) };
    show 'del three', sub { $cursor->del for 1 .. 3; move($cursor, MDB_GET_CURRENT) };
    show 'del the rest', sub {
        my $count = 0;
        $count++ while eval { $cursor->del; 1 };
        $count;
    };
    show 'content', sub { everything($db) };
    show 'commit', sub { undef $cursor; $txn->commit };
}

sub ties {
    $section = 'tie';
    my %hash;
    my $db = tie %hash, 'LMDB_File', directory('tie'), { mapsize => 1 << 22 };
    show 'store', sub { $hash{"key$_"} = "value$_" for 1 .. 50; scalar keys %hash };
    show 'fetch', sub { $hash{key7} };
    show 'fetch missing', sub { $hash{none} };
    show 'exists', sub { map { exists $hash{$_} ? 1 : 0 } 'key7', 'none' };
    show 'delete', sub { delete $hash{key7} };
    show 'exists', sub { exists $hash{key7} ? 1 : 0 };
    show 'keys', sub { sort keys %hash };
    show 'each', sub { my @all; while (my ($k, $v) = each %hash) { push @all, "$k=$v" } @all };
    show 'scalar', sub { scalar %hash ? 1 : 0 };
    show 'utf8', sub { $db->UTF8(1); $hash{"\x{263a}"} = "\x{2764}"; length $hash{"\x{263a}"} };
    undef $db;
    untie %hash;
}

sub orders {
    $section = 'order';
    my $env = LMDB::Env->new(directory('orders'), { mapsize => 1 << 24, maxdbs => 5 });
    my $txn = $env->BeginTxn;
    my %order = (
        folded => sub { lc $a cmp lc $b },
        descending => sub { $b cmp $a },
        numbers => sub { $a <=> $b },
        lengths => sub { length $a <=> length $b or $a cmp $b },
    );
    for my $name (sort keys %order) {
        my $db = $txn->OpenDB($name, MDB_CREATE);
        $db->set_compare($order{$name});
        $db->put($_, "v$_") for map { $_ * 7919 % 1000 } 1 .. 300;
        show "$name: all", sub { everything($db) };
        show "$name: get", sub { $db->get(77) };
        my $cursor = $db->Cursor;
        show "$name: SET_RANGE", sub { move($cursor, MDB_SET_RANGE, 500) };
        show "$name: PREV", sub { move($cursor, MDB_PREV) };
        show "$name: del", sub { $db->del($_) for 1 .. 100; everything($db) };
    }
    show 'words', sub {
        my $db = $txn->OpenDB('folded');
        $db->put($_, $_) for qw(alpha Beta GAMMA delta Alpha2 beta3);
        everything($db), $db->get('gamma');
    };
    $txn->abort;
}

sub duplicates {
    $section = 'duplicates';
    my $env = LMDB::Env->new(directory('dups'), { mapsize => 1 << 24, maxdbs => 5 });
    for my $flags (MDB_DUPSORT, MDB_DUPSORT | MDB_DUPFIXED, MDB_DUPSORT | MDB_REVERSEDUP) {
        my $txn = $env->BeginTxn;
        my $db = $txn->OpenDB("flags$flags", MDB_CREATE | $flags);
        $db->put('k' . $_ % 5, sprintf '%04d', $_) for 1 .. 300;
        $db->put('single', '0001');
        show 'flags', sub { $db->flags };
        show 'NODUPDATA', sub { $db->put('k1', '0001', MDB_NODUPDATA) };
        show 'APPENDDUP', sub { $db->put('k1', '9999', MDB_APPENDDUP) };
        show 'APPENDDUP lower', sub { $db->put('k1', '0000', MDB_APPENDDUP) };
        show 'get', sub { $db->get('k1') };
        show 'del one', sub { $db->del('k1', '0001') };
        show 'del again', sub { $db->del('k1', '0001') };
        show 'del all', sub { $db->del('k2') };
        my $cursor = $db->Cursor;
        show 'SET_KEY', sub { move($cursor, MDB_SET_KEY, 'k3') };
        show 'NEXT_DUP', sub { move($cursor, MDB_NEXT_DUP) };
        show 'LAST_DUP', sub { move($cursor, MDB_LAST_DUP, 'k3') };
        show 'NEXT_DUP', sub { move($cursor, MDB_NEXT_DUP) };
        show 'PREV_DUP', sub { move($cursor, MDB_PREV_DUP) };
        show 'FIRST_DUP', sub { move($cursor, MDB_FIRST_DUP, 'k3') };
        show 'GET_BOTH', sub { move($cursor, MDB_GET_BOTH, 'k3', '0103') };
        show 'GET_BOTH_RANGE', sub { move($cursor, MDB_GET_BOTH_RANGE, 'k3', '0104') };
        show 'del', sub { $cursor->del; move($cursor, MDB_GET_CURRENT) };
        show 'NEXT_NODUP', sub { move($cursor, MDB_NEXT_NODUP) };
        show 'PREV_NODUP', sub { move($cursor, MDB_PREV_NODUP) };
        show 'del, NODUPDATA', sub { $cursor->del(MDB_NODUPDATA) };
        show 'stat', sub { $db->stat };
        show 'all', sub { everything($db) };
        undef $cursor;
        $txn->commit;
    }
}

sub check_library {
    open my $maps, '<', '/proc/self/maps' or die;
    my %mapped = map { realpath((split)[5]) => 1 } grep { /liblmdb[^\/]*$/ } <$maps>;
    my @names = keys %mapped;
    die "mapped is @names, expected $library\n" if "@names" ne $library;
}

if ($part eq 'plain') {
    environment();
    transactions();
    databases();
    cursors();
    ties();
} elsif ($part eq 'orders') {
    orders();
} else {
    duplicates();
}
check_library();
