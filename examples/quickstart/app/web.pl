# Greets each visitor with a number that the service `counter` keeps.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{TERM} = $SIG{INT} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';
$| = 1;

sub ask_counter {
    my ($question) = @_;
    my $counter = IO::Socket::INET->new(PeerAddr => 'counter', PeerPort => 7000, Timeout => 5)
        or return;
    print {$counter} "$question\n";
    my $number = <$counter> // return;
    chomp $number;
    return $number;
}

sub answer {
    my ($path) = @_;
    return ('404 Not Found', "there is no $path here\n") unless $path eq '/' or $path eq '/health';
    my $number = ask_counter($path eq '/' ? 'next' : 'peek');
    return ('503 Service Unavailable', "the counter does not answer\n") unless defined $number;
    return ('200 OK', $path eq '/' ? "hello, you are visitor number $number\n" : "healthy\n");
}

my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 16, ReuseAddr => 1)
    or die "cannot listen on port 8080: $@\n";
print "listening on port 8080\n";

while (1) {
    my $client = $server->accept or next;
    my ($path) = (<$client> // '') =~ m{^GET (\S+) };
    # The rest of the request is read and not needed.
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?$/ }
    if (defined $path) {
        my ($status, $body) = answer($path);
        my $length = length $body;
        print {$client} "HTTP/1.0 $status\r\nContent-Type: text/plain\r\n",
            "Content-Length: $length\r\nConnection: close\r\n\r\n$body";
        print "$path $status\n" unless $path eq '/health';
    }
    close $client;
}
