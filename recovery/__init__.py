"""After an interrupted `pulumi up`: what it made and could not write down is removed. The command is bin/recover."""
