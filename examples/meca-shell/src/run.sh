#!/bin/sh
# The port opens right after the line; whoever waits for a task waits for both.
echo meca-init-done
exec httpd -f -p 8080 -h /app/www
