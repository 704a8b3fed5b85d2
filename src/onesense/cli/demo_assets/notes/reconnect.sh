#!/bin/sh
# Reconnect the wireless network when the router has dropped it.
while true; do
    ping -c 1 1.1.1.1 >/dev/null || nmcli radio wifi on
    sleep 60
done
