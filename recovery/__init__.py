"""After an interrupted run: what it made and could not write down is removed, or taken into the state: bin/recover."""
