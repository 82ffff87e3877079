@node "%~dp0..\dist\provider\main.js" %*
