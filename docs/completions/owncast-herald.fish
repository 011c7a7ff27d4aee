# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_owncast_herald_global_optspecs
    string join \n config= i/instance= socket= json h/help V/version
end

function __fish_owncast_herald_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_owncast_herald_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_owncast_herald_using_subcommand
    set -l cmd (__fish_owncast_herald_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -s V -l version -d 'Print version'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "run" -d 'Run the agent in the foreground'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "demo" -d 'Try everything out with a simulated Owncast and a simulated fediverse'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "adopt" -d 'Move in from Owncast\'s own federation: key, followers, posts and blocks; or back'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "disconnect" -d 'Remove from Owncast what the agent made there, and say what to take out of the proxy'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "status" -d 'Show how the running agent is'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "followers" -d 'List and answer followers'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "block" -d 'Block domains and people'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "reports" -d 'Read what other servers report'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "go-live" -d 'See and steer the post that announces a stream'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "deliveries" -d 'See what became of what was sent, and steer what is on its way'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "pause" -d 'Announce no stream for a while'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "resume" -d 'End a pause: a stream that runs and has no post yet gets it'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "export" -d 'Write everything that is kept into one file, beside the running agent or without one'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "import" -d 'Make the store out of a file that export wrote; nothing is sent before `resume --restored`'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "backup" -d 'Write a backup into a folder, and remove old ones'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "key" -d 'Copy, put back, show or change the actor\'s private key'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "reload" -d 'Make the running agent read its configuration again, and show what changed'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "check-config" -d 'Check a configuration file without starting anything'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "setup" -d 'Make the configuration, start the service, and examine everything'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "doctor" -d 'Examine everything, from Owncast to what the fediverse sees, and say the cure'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "proxy-config" -d 'Print what a reverse proxy in front of Owncast has to be told'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "man" -d 'Write the manual pages'
complete -c owncast-herald -n "__fish_owncast_herald_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l owncast -d 'Owncast\'s own address; wins over the file, and without --config no file is read' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l store -d 'Folder of the database; wins over the file' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l new-identity -d 'Make a new key although this actor has lived before: servers that pinned the old key will not accept it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l abandon-followers -d 'Become another actor where the public URL or username is another one now: all followers are given up'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l replace -d 'Take Owncast over from another agent, whose webhook is found in it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l observe -d 'Change nothing, send nothing, say nothing: watch Owncast, and print what would be done'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand demo" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand demo" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand demo" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand demo" -l once -d 'Show one stream from start to end, then stop'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand demo" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand demo" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l data-dir -d 'Owncast\'s data folder, which holds owncast.db: of a service, below /home, or of a Docker volume' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l to -d 'With --give-back: leave Owncast\'s database as it is, and make a changed copy of it in this folder' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l store -d 'Folder of the agent\'s database; wins over the file' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l key-only -d 'Take over the actor\'s key and nothing else'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l dry-run -d 'Say what would be done, and do nothing'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l catch-up -d 'Once more, after the proxy leads to the agent: take whoever followed or left in between'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l api -d 'Take the list of followers from Owncast\'s API, without its database: their servers are asked for the rest'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l finish -d 'With Owncast stopped: move its followers out of its way, so that it sends them nothing any more'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l give-back -d 'With Owncast stopped: give followers, blocks and posts back to it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l undo -d 'Take back what was taken over and has not changed since'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l yes -d 'With --undo: ask nothing'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l force -d 'Set another key aside that is there, though whoever follows its actor is lost; believe that many have left at once'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand adopt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand disconnect" -l store -d 'Folder of the agent\'s database; wins over the file' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand disconnect" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand disconnect" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand disconnect" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand disconnect" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand disconnect" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -l settings -d 'Show every setting with its effective value and where that came from'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -l watch -d 'Show it again every two seconds, until Ctrl-C; where there is no terminal, one line for each change'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand status" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -f -a "list" -d 'List followers, newest first'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -f -a "approve" -d 'Let a follower in who waits or was rejected'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -f -a "reject" -d 'Refuse a follower, now and whenever they ask again'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -f -a "remove" -d 'Remove a follower, who may follow again'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -f -a "export" -d 'Write the list in the form in which Mastodon takes and gives lists of accounts'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and not __fish_seen_subcommand_from list approve reject remove export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -l state -d 'Only those in this state' -r -f -a "approved\t'Gets posts'
pending\t'Waits for your answer'
rejected\t'Refused'
parked\t'Set aside by a block'"
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -l limit -d 'How many' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -l all -d 'All of them'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from approve" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from approve" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from approve" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from approve" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from approve" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from reject" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from reject" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from reject" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from reject" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from reject" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from remove" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from remove" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from remove" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -l state -d 'Only those in this state' -r -f -a "approved\t'Gets posts'
pending\t'Waits for your answer'
rejected\t'Refused'
parked\t'Set aside by a block'"
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -l csv -d 'As comma-separated values with Mastodon\'s columns'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from help" -f -a "list" -d 'List followers, newest first'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from help" -f -a "approve" -d 'Let a follower in who waits or was rejected'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from help" -f -a "reject" -d 'Refuse a follower, now and whenever they ask again'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a follower, who may follow again'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write the list in the form in which Mastodon takes and gives lists of accounts'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand followers; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "add" -d 'Block a domain with everything below it, or one person'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "remove" -d 'Lift a block that was made here'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "list" -d 'List everything blocked, Owncast\'s own list included'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and not __fish_seen_subcommand_from add remove list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from add" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from add" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from add" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from add" -l purge -d 'Forget the followers it covers, instead of setting them aside until the block is lifted'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from add" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from remove" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from remove" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from remove" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from list" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from list" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from list" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "add" -d 'Block a domain with everything below it, or one person'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Lift a block that was made here'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "list" -d 'List everything blocked, Owncast\'s own list included'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand block; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -f -a "list" -d 'List them, newest first; they are kept for 90 days'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -f -a "clear" -d 'Forget them all, once they are read'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and not __fish_seen_subcommand_from list clear help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from list" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from list" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from list" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from clear" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from clear" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from clear" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from clear" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from clear" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from help" -f -a "list" -d 'List them, newest first; they are kept for 90 days'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from help" -f -a "clear" -d 'Forget them all, once they are read'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reports; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -f -a "preview" -d 'Show the post as it would go out now; nothing is sent'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -f -a "now" -d 'Announce the running stream at once'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -f -a "skip" -d 'Make no post for the running stream, or for the next one'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -f -a "message" -d 'Give the next post a text of its own'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and not __fish_seen_subcommand_from preview now skip message help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from preview" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from preview" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from preview" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from preview" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from preview" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from now" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from now" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from now" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from now" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from now" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from skip" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from skip" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from skip" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from skip" -l undo -d 'Take it back'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from skip" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from skip" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from message" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from message" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from message" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from message" -l clear -d 'Take the text back, and use the configured one'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from message" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from message" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from help" -f -a "preview" -d 'Show the post as it would go out now; nothing is sent'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from help" -f -a "now" -d 'Announce the running stream at once'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from help" -f -a "skip" -d 'Make no post for the running stream, or for the next one'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from help" -f -a "message" -d 'Give the next post a text of its own'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand go-live; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l activity -d 'How one activity fares, host by host: its id, or the address of a post' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l host -d 'What is known of a host, and what is on its way there' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l limit -d 'How many rows' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l before -d 'Only activities older than this one' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l failed -d 'What was given up'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -f -a "retry" -d 'Try now what is to be tried later'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -f -a "drop" -d 'Give up what is on its way'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and not __fish_seen_subcommand_from retry drop help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l activity -d 'Of this activity: its id, or the address of a post' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l host -d 'To this host' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l all -d 'Everything'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l failed -d 'Also what was given up and is still worth sending'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -l activity -d 'Of this activity: its id, or the address of a post' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -l host -d 'To this host' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -l yes -d 'Do it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Try now what is to be tried later'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Give up what is on its way'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand deliveries; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand pause" -l for -d 'How long: 30m, 2h, 1d12h; from 1m to 30d' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand pause" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand pause" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand pause" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand pause" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand resume" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand resume" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand resume" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand resume" -l restored -d 'After an import: let this machine send, since the one the backup was made on is stopped'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand resume" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -l with-key -d 'Put the actor\'s private key into it: whoever has the file can then speak as the stream\'s account'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -l force -d 'Write over a file that is there; with - also the key to a terminal'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand export" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l store -d 'Folder of the agent\'s database; wins over the file' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l replace -d 'Set aside the store that is there, and another key; nothing of them is lost'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l keep-key -d 'Go on with the key that is in its place, though the backup was made with another: the key was changed since'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l check -d 'Only say whether the file is whole and what is in it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand backup" -l keep -d 'How many to keep; older ones are removed once the new one is complete' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand backup" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand backup" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand backup" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand backup" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand backup" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -f -a "export" -d 'Write a copy of the private key to a file that only you may read'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -f -a "import" -d 'Put a copy of the private key into its place'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -f -a "show" -d 'Show where the key is and its fingerprint, never the key'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -f -a "rotate" -d 'Change to a new key, in two steps'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and not __fish_seen_subcommand_from export import show rotate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from export" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from export" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from export" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from export" -l force -d 'Write over another key; with - also to a terminal'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from export" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from import" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from import" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from import" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from import" -l force -d 'Set another key aside that is there; whoever follows its actor is lost'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from import" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from show" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from show" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from show" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -l yes -d 'Begin, after you have read what it means'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -l finish -d 'Make the new key the one in use, once others were told of it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -l force -d 'Finish although not everybody was told'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write a copy of the private key to a file that only you may read'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "import" -d 'Put a copy of the private key into its place'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show where the key is and its fingerprint, never the key'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Change to a new key, in two steps'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reload" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reload" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reload" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reload" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand reload" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand check-config" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand check-config" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand check-config" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand check-config" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l owncast -d 'Owncast\'s own address, as this machine reaches it [default: the one that is configured already, or http://127.0.0.1:8080]' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l admin-user -d 'Login of Owncast\'s admin pages [default: admin, or the one that is configured already]' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l admin-password-file -d 'File that holds Owncast\'s admin password on one line; `-` for standard input' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l public-url -d 'Public address of the stream, where it is another one than Owncast\'s server URL' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l username -d 'Name before the @ of the handle, where it is another one than in Owncast' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l public -d 'Where the agent listens for the proxy [default: 127.0.0.1:8585, or the next that is free; with --force the one it has]' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l webhook -d 'Where the agent listens for Owncast\'s webhook [default: 127.0.0.1:8586, or the next that is free; with --force the one it has]; for an Owncast in a container this machine\'s address in its network' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l metrics -d 'Where the agent listens for probes and metrics [default: 127.0.0.1:8587, or the next that is free; with --force the one it has]' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l yes -d 'Ask nothing, take what is named or usual'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l force -d 'Change a configuration and a password that are there'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l no-start -d 'Do not start the service'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand doctor" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand doctor" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand doctor" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand doctor" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l public-url -d 'Public address of the stream' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l username -d 'Name before the @ of the handle' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l owncast -d 'Owncast\'s own address, as the proxy reaches it' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l agent -d 'The agent\'s public listener, as the proxy reaches it' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l certificate -d 'Certificate with its chain (PEM); without it, where certbot keeps them, or the proxy gets one by itself' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l certificate-key -d 'The certificate\'s private key (PEM)' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand proxy-config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand completions" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand completions" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand completions" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand completions" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand completions" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand man" -l config -d 'Configuration file [default: /etc/owncast-herald/agent.toml]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand man" -s i -l instance -d 'Which of several agents on this host: the NAME of owncast-herald@NAME.service, configured in NAME.toml' -r
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand man" -l socket -d 'Administration socket of the running agent [default: found through the configuration]' -r -F
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand man" -l json -d 'Print JSON for machines'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand man" -s h -l help -d 'Print help'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "run" -d 'Run the agent in the foreground'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "demo" -d 'Try everything out with a simulated Owncast and a simulated fediverse'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "adopt" -d 'Move in from Owncast\'s own federation: key, followers, posts and blocks; or back'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "disconnect" -d 'Remove from Owncast what the agent made there, and say what to take out of the proxy'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "status" -d 'Show how the running agent is'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "followers" -d 'List and answer followers'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "block" -d 'Block domains and people'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "reports" -d 'Read what other servers report'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "go-live" -d 'See and steer the post that announces a stream'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "deliveries" -d 'See what became of what was sent, and steer what is on its way'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "pause" -d 'Announce no stream for a while'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "resume" -d 'End a pause: a stream that runs and has no post yet gets it'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "export" -d 'Write everything that is kept into one file, beside the running agent or without one'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "import" -d 'Make the store out of a file that export wrote; nothing is sent before `resume --restored`'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "backup" -d 'Write a backup into a folder, and remove old ones'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "key" -d 'Copy, put back, show or change the actor\'s private key'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "reload" -d 'Make the running agent read its configuration again, and show what changed'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "check-config" -d 'Check a configuration file without starting anything'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "setup" -d 'Make the configuration, start the service, and examine everything'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "doctor" -d 'Examine everything, from Owncast to what the fediverse sees, and say the cure'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "proxy-config" -d 'Print what a reverse proxy in front of Owncast has to be told'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "man" -d 'Write the manual pages'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and not __fish_seen_subcommand_from run demo adopt disconnect status followers block reports go-live deliveries pause resume export import backup key reload check-config setup doctor proxy-config completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from followers" -f -a "list" -d 'List followers, newest first'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from followers" -f -a "approve" -d 'Let a follower in who waits or was rejected'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from followers" -f -a "reject" -d 'Refuse a follower, now and whenever they ask again'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from followers" -f -a "remove" -d 'Remove a follower, who may follow again'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from followers" -f -a "export" -d 'Write the list in the form in which Mastodon takes and gives lists of accounts'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from block" -f -a "add" -d 'Block a domain with everything below it, or one person'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from block" -f -a "remove" -d 'Lift a block that was made here'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from block" -f -a "list" -d 'List everything blocked, Owncast\'s own list included'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from reports" -f -a "list" -d 'List them, newest first; they are kept for 90 days'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from reports" -f -a "clear" -d 'Forget them all, once they are read'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from go-live" -f -a "preview" -d 'Show the post as it would go out now; nothing is sent'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from go-live" -f -a "now" -d 'Announce the running stream at once'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from go-live" -f -a "skip" -d 'Make no post for the running stream, or for the next one'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from go-live" -f -a "message" -d 'Give the next post a text of its own'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from deliveries" -f -a "retry" -d 'Try now what is to be tried later'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from deliveries" -f -a "drop" -d 'Give up what is on its way'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "export" -d 'Write a copy of the private key to a file that only you may read'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "import" -d 'Put a copy of the private key into its place'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "show" -d 'Show where the key is and its fingerprint, never the key'
complete -c owncast-herald -n "__fish_owncast_herald_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "rotate" -d 'Change to a new key, in two steps'
