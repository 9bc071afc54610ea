import js from '@eslint/js'
import reactHooks from 'eslint-plugin-react-hooks'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

// Code flows one way: api -> components -> features -> app. A folder imports only from the left of it, and a feature
// never another feature. An import that leaves its folder is written "@/...", so the patterns see every one of them.
const elsewhere = { group: ['../*'], message: 'Write imports from another folder as "@/...".' }

function forbid(files, ...patterns) {
  return {
    files,
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: [elsewhere, ...patterns] }] },
  }
}

export default defineConfig(
  globalIgnores(['dist', 'src/api/schema.ts']),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  reactHooks.configs.flat.recommended,
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['eslint.config.js', 'scripts/world.js'] } } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'no-console': 'error',
    },
  },
  forbid(['src/api/**'], {
    group: ['@/components/**', '@/features/**', '@/app/**'],
    message: 'api draws nothing and knows no page.',
  }),
  forbid(
    ['src/components/**'],
    { group: ['@/features/**', '@/app/**'], message: 'A component knows no page.' },
    { group: ['@/api/**'], allowTypeImports: true, message: 'A component is given its data; it may know the types.' },
  ),
  forbid(['src/features/**'], {
    group: ['@/app/**', '@/features/**'],
    message: 'A feature knows neither the app nor another feature; its own files are "./".',
  }),
)
