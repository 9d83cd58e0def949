# Counts visits: `next` adds one and says the new number, `peek` says the last one.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{TERM} = $SIG{INT} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';
$| = 1;

my $file = '/data/visits';

sub stored {
    open my $in, '<', $file or return 0;
    my $number = <$in> // 0;
    return int $number;
}

sub store {
    my ($number) = @_;
    open my $out, '>', "$file.new" or die "cannot write $file.new: $!\n";
    print {$out} "$number\n";
    close $out or die "cannot write $file.new: $!\n";
    rename "$file.new", $file or die "cannot rename $file.new: $!\n";
}

my $server = IO::Socket::INET->new(LocalPort => 7000, Listen => 16, ReuseAddr => 1)
    or die "cannot listen on port 7000: $@\n";
print 'counting from ', stored(), "\n";

while (1) {
    my $client = $server->accept or next;
    my $asked = <$client> // '';
    my $number = stored();
    store(++$number) if $asked =~ /^next/;
    print {$client} "$number\n";
    close $client;
}
